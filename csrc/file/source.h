// Source of the bytes of a program.
//
// Files are read, not mapped.  If another process truncates or overwrites a file during loading,
// the result is an error or other numbers, but never a signal or a header that changes after it
// was checked.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string>

namespace earbit {

class Source {
 public:
  virtual ~Source() = default;

  virtual uint64_t size() const = 0;

  // Copies bytes [offset, offset + n), with offset + n <= size().  Throws FormatError if they no
  // longer exist.
  virtual void read(uint64_t offset, size_t n, void* into) const = 0;
};

// A file that is open during the lifetime of the object.
class FileSource : public Source {
 public:
  // Throws FormatError unless the path, in UTF-8 on Windows, is a readable regular file.
  explicit FileSource(const std::string& path);
  ~FileSource() override;
  FileSource(const FileSource&) = delete;
  FileSource& operator=(const FileSource&) = delete;

  uint64_t size() const override { return size_; }
  void read(uint64_t offset, size_t n, void* into) const override;

 private:
  int descriptor_;
  uint64_t size_ = 0;
};

// A buffer of the caller with any alignment, which must outlive the object.
class MemorySource : public Source {
 public:
  MemorySource(const void* data, size_t size)
      : data_(static_cast<const std::byte*>(data)), size_(size) {}

  uint64_t size() const override { return size_; }
  void read(uint64_t offset, size_t n, void* into) const override {
    if (n > 0) std::memcpy(into, data_ + offset, n);
  }

 private:
  const std::byte* data_;
  size_t size_;
};

}  // namespace earbit
