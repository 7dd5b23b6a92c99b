// permessage-deflate (RFC 7692) for messages that many receive: a shared body is compressed once, whatever stands in
// front of it at each receiver.
//
// A message's payload is raw deflate (RFC 1951) without the 00 00 FF FF that ends a sync flush. Deflate blocks
// concatenate: a *stored* block with the receiver's own prefix, then the blocks of the shared body, which were
// compressed alone and so refer to nothing before themselves. That needs server_no_context_takeover and a window of 32
// KiB, which negotiate_deflate() insists on; it also asks the client for client_no_context_takeover, so that no state
// is kept for a connection in either direction.
//
// Thread safety: any thread; zlib's working memory is shared by all calls of a thread.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

#include "fresnel/base/shared_bytes.hpp"
#include "fresnel/net/http.hpp"

namespace fresnel::net {

inline constexpr std::size_t kDeflateThreshold = 1024;  // bytes; smaller bodies are not worth it
inline constexpr std::size_t kMaxStoredBlock = 65'535;  // RFC 1951 section 3.2.4
inline constexpr std::size_t kStoredBlockHead = 5;      // bytes in front of what a stored block holds

// The value of the response's Sec-WebSocket-Extensions for the request's offers (RFC 7692 section 5.1): the first offer
// that can be granted. Nothing when there is none.
[[nodiscard]] std::optional<std::string> negotiate_deflate(const Headers& request);

// The body as deflate blocks. Empty when it is below the threshold or would not become smaller.
[[nodiscard]] SharedBytes deflate_body(std::string_view body);

// At most kMaxStoredBlock bytes as a block of their own, which any blocks may follow: five bytes longer.
[[nodiscard]] std::string stored_block(std::string_view bytes);

// Undoes a message's compression. Nothing when the payload is no deflate data; `too_large` is set when there would be
// more than `limit` bytes.
[[nodiscard]] std::optional<std::string> inflate_message(std::string_view payload, std::size_t limit, bool& too_large);

}  // namespace fresnel::net
