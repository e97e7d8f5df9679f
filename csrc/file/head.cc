#include "file/head.h"

#include <algorithm>
#include <array>
#include <set>

#include "file/fields.h"
#include "file/format_error.h"

namespace earbit {
namespace {

constexpr std::array kHeadKinds = {"class", "sequence", "vector", "segments"};
constexpr int64_t kMaxSlotLabels = int64_t{1} << 20;

// Labels of every slot of a head: all labels without slots.
std::vector<int> read_slots(const Json* slots, size_t n_labels) {
  if (slots == nullptr) return {static_cast<int>(n_labels)};
  std::vector<int> sizes;
  int64_t n_named = 0;
  for (const Json& size : slots->items("head slots")) {
    sizes.push_back(static_cast<int>(size.integer("head slot", 1, kMaxSlotLabels)));
    n_named += sizes.back();
  }
  if (n_named != static_cast<int64_t>(n_labels)) {
    throw FormatError("head: slots of " + std::to_string(n_named) + " labels, there are " +
                      std::to_string(n_labels));
  }
  return sizes;
}

void check_distinct(const std::vector<std::string>& labels, const std::vector<int>& slots) {
  auto next = labels.begin();
  for (const int size : slots) {
    std::set<std::string> distinct;
    for (int i = 0; i < size; ++i, ++next) {
      if (!distinct.insert(*next).second) throw FormatError("head: label '" + *next + "' twice");
    }
  }
}

}  // namespace

Head read_head(const Json& record, const Program& program) {
  std::vector<std::string> keys = {"task", "value", "labels"};
  const auto members = record.members("head");
  // Programs of older versions have no kind.
  const Json* kind = member(members, "kind");
  const Json* slots = member(members, "slots");
  const Json* min_log_odds = member(members, "min_log_odds");
  if (kind != nullptr) keys.push_back("kind");
  if (slots != nullptr) keys.push_back("slots");
  if (min_log_odds != nullptr) keys.push_back("min_log_odds");
  const std::vector<Json> values = fields(record, "head", keys);
  Head head{values[0].name("head task"),
            kind == nullptr ? "class" : kind->string("head kind"),
            value_id(values[1], "head", program.n_values()),
            {},
            {},
            {},
            0};
  if (std::find(kHeadKinds.begin(), kHeadKinds.end(), head.kind) == kHeadKinds.end()) {
    throw FormatError("head kind: " + kind->excerpt() +
                      ", this version knows 'class', 'sequence', 'vector' and 'segments'");
  }
  const Type& type = program.type(head.value);
  const std::vector<Json> labels = values[2].items("head labels");
  const size_t n_expected = head.kind == "vector" ? 0 : static_cast<size_t>(type.cols);
  if (type.kind != Kind::floats || labels.size() != n_expected) {
    throw FormatError("head: " + std::to_string(labels.size()) + " labels for value " +
                      std::to_string(head.value) +
                      (type.kind == Kind::floats
                           ? " of " + std::to_string(type.cols) + " columns and kind '" +
                                 head.kind + "', expected " + std::to_string(n_expected)
                           : ", which is not of floats"));
  }
  for (const Json& label : labels) {
    head.labels.push_back(label.name("head label " + std::to_string(head.labels.size())));
  }
  if (slots != nullptr && head.kind != "class") {
    throw FormatError("head: slots of kind '" + head.kind + "'; only a class has slots");
  }
  head.slots = read_slots(slots, labels.size());
  check_distinct(head.labels, head.slots);
  if (min_log_odds != nullptr) {
    if (head.kind != "class" || head.slots.size() != 1) {
      throw FormatError("head: min_log_odds of kind '" + head.kind + "' and " +
                        std::to_string(head.slots.size()) +
                        " slots; only a class of one slot rejects");
    }
    head.min_log_odds = min_log_odds->number("head min_log_odds");
  }
  try {
    head.min_samples = program.min_samples(head.value);
  } catch (const UnfitRows& error) {
    throw FormatError(std::string("head: ") + error.what() + "; export the program again");
  }
  return head;
}

}  // namespace earbit
