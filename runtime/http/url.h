// URLs that we may ask, read by the same parser that later asks them: two parsers that differ are how guards are passed.
#pragma once

#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace agentruntime {

inline constexpr int kUrlBytesMax = 8192;

struct HttpUrl {
  std::string text;    // normalised, without fragment: what is sent
  std::string scheme;  // http or https
  std::string host;    // lower case, without brackets and trailing dot; numbers in dotted form
  int port = 0;        // never 0

  // `https://host:port`: what two URLs of one server share.
  std::string Origin() const;
};

// INVALID_ARGUMENT, with a sentence, for: a scheme other than http and https, user or password, an empty host, a host that is not ASCII (to be written in
// its xn-- form), a zone id, spaces, backslashes, control characters, more than kUrlBytesMax bytes, and whatever the parser refuses.
absl::StatusOr<HttpUrl> ParseHttpUrl(absl::string_view text);
// `reference` as a Location header has it, seen from `base`.
absl::StatusOr<HttpUrl> ResolveHttpUrl(const HttpUrl& base, absl::string_view reference);

}  // namespace agentruntime
