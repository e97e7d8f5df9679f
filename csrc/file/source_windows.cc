// FileSource for Windows.
#include <fcntl.h>
#include <io.h>
#include <sys/stat.h>
#include <windows.h>

#include <algorithm>
#include <cerrno>
#include <system_error>

#include "file/format_error.h"
#include "file/source.h"

namespace earbit {
namespace {

FormatError unreadable(int error) {
  return FormatError("cannot be read: " + std::generic_category().message(error));
}

// UTF-16 of a path in UTF-8.
std::wstring wide(const std::string& path) {
  const int n_bytes = static_cast<int>(path.size());
  const int size =
      MultiByteToWideChar(CP_UTF8, MB_ERR_INVALID_CHARS, path.data(), n_bytes, nullptr, 0);
  if (size == 0 && n_bytes > 0) throw FormatError("cannot be read: its path is not UTF-8");
  std::wstring text(static_cast<size_t>(size), L'\0');
  MultiByteToWideChar(CP_UTF8, 0, path.data(), n_bytes, text.data(), size);
  return text;
}

}  // namespace

FileSource::FileSource(const std::string& path)
    : descriptor_(_wopen(wide(path).c_str(), _O_RDONLY | _O_BINARY | _O_NOINHERIT)) {
  if (descriptor_ < 0) throw unreadable(errno);
  struct _stat64 status;
  const int error = _fstat64(descriptor_, &status) != 0 ? errno : 0;
  if (error == 0 && (status.st_mode & _S_IFMT) == _S_IFREG) {
    size_ = static_cast<uint64_t>(status.st_size);
    return;
  }
  _close(descriptor_);
  throw error != 0 ? unreadable(error) : FormatError("not a regular file");
}

FileSource::~FileSource() { _close(descriptor_); }

void FileSource::read(uint64_t offset, size_t n, void* into) const {
  auto* out = static_cast<std::byte*>(into);
  const auto file = reinterpret_cast<HANDLE>(_get_osfhandle(descriptor_));
  constexpr size_t kMostAtOnce = size_t{1} << 30;
  while (n > 0) {
    OVERLAPPED at{};  // reads there, whatever the position of other reads
    at.Offset = static_cast<DWORD>(offset);
    at.OffsetHigh = static_cast<DWORD>(offset >> 32);
    DWORD n_read = 0;
    const bool is_read =
        ReadFile(file, out, static_cast<DWORD>(std::min(n, kMostAtOnce)), &n_read, &at) != 0;
    const bool is_at_end = n_read == 0 && (is_read || GetLastError() == ERROR_HANDLE_EOF);
    if (is_at_end) throw FormatError("became shorter while it was read");
    if (!is_read) throw unreadable(EIO);
    out += n_read;
    offset += n_read;
    n -= n_read;
  }
}

}  // namespace earbit
