#include "file/source.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <system_error>

#include "file/format_error.h"

namespace earbit {
namespace {

FormatError unreadable(int error) {
  return FormatError("cannot be read: " + std::generic_category().message(error));
}

}  // namespace

// O_NONBLOCK: without it, opening a named pipe would block before it can be refused.
FileSource::FileSource(const std::string& path)
    : descriptor_(open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK)) {
  if (descriptor_ < 0) throw unreadable(errno);
  struct stat status;
  const int error = fstat(descriptor_, &status) != 0 ? errno : 0;
  if (error == 0 && S_ISREG(status.st_mode)) {
    size_ = static_cast<uint64_t>(status.st_size);
    return;
  }
  close(descriptor_);
  throw error != 0 ? unreadable(error) : FormatError("not a regular file");
}

FileSource::~FileSource() { close(descriptor_); }

void FileSource::read(uint64_t offset, size_t n, void* into) const {
  auto* out = static_cast<std::byte*>(into);
  while (n > 0) {
    const ssize_t n_read = pread(descriptor_, out, n, static_cast<off_t>(offset));
    if (n_read < 0 && errno == EINTR) continue;
    if (n_read < 0) throw unreadable(errno);
    if (n_read == 0) throw FormatError("became shorter while it was read");
    out += n_read;
    offset += static_cast<uint64_t>(n_read);
    n -= static_cast<size_t>(n_read);
  }
}

}  // namespace earbit
