// The functions of libearbit for the head of a program file that need not be valid.
#pragma once

#include <string>
#include <vector>

// Calls all of them with buffers of exactly the sizes that libearbit gives.  Returns what is wrong:
// a status that differs from that of earbit_scores, or a message that `is_message` refuses; empty
// if nothing is.  Files that libearbit does not open are right.
std::string fault_of_head(const std::string& bytes, const std::vector<float>& audio,
                          bool (*is_message)(const std::string&));
