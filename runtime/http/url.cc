#include "runtime/http/url.h"

#include <curl/curl.h>

#include <memory>

#include "absl/status/status.h"
#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "proto/base/status.h"

namespace agentruntime {
namespace {

struct UrlDeleter {
  void operator()(CURLU* url) const { curl_url_cleanup(url); }
};
using UrlHandle = std::unique_ptr<CURLU, UrlDeleter>;

absl::Status CheckCharacters(absl::string_view text) {
  if (text.empty()) return absl::InvalidArgumentError("the URL is empty");
  if (text.size() > kUrlBytesMax) return absl::InvalidArgumentError(absl::StrCat("the URL is longer than ", kUrlBytesMax, " bytes"));
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte <= 0x20 || byte == 0x7f || c == '\\') {
      return absl::InvalidArgumentError("the URL contains a space, a backslash or a control character; write it percent-encoded");
    }
    if (byte >= 0x80) return absl::InvalidArgumentError("the URL contains a character that is not ASCII; write it percent-encoded, a host in its xn-- form");
  }
  return absl::OkStatus();
}

std::string GetPart(CURLU* url, CURLUPart part, unsigned int flags = 0) {
  char* text = nullptr;
  if (curl_url_get(url, part, &text, flags) != CURLUE_OK) return "";
  std::string copy(text);
  curl_free(text);
  return copy;
}

absl::StatusOr<HttpUrl> Check(CURLU* url) {
  HttpUrl result;
  result.scheme = absl::AsciiStrToLower(GetPart(url, CURLUPART_SCHEME));
  if (result.scheme != "http" && result.scheme != "https") {
    return absl::InvalidArgumentError(absl::StrCat("the URL's scheme is \"", result.scheme, "\"; only http and https are asked"));
  }
  char* user = nullptr;
  if (curl_url_get(url, CURLUPART_USER, &user, 0) == CURLUE_OK) {
    curl_free(user);
    return absl::InvalidArgumentError("the URL contains a user name or password; put credentials into a header");
  }
  if (!GetPart(url, CURLUPART_PASSWORD).empty()) return absl::InvalidArgumentError("the URL contains a password; put credentials into a header");
  if (!GetPart(url, CURLUPART_ZONEID).empty()) return absl::InvalidArgumentError("the URL's host has a zone id");
  const std::string written = absl::AsciiStrToLower(GetPart(url, CURLUPART_HOST));
  absl::string_view host = written;
  if (absl::ConsumePrefix(&host, "[")) absl::ConsumeSuffix(&host, "]");
  absl::ConsumeSuffix(&host, ".");
  if (host.empty()) return absl::InvalidArgumentError("the URL has no host");
  if (host.find('%') != absl::string_view::npos) return absl::InvalidArgumentError("the URL's host contains a percent sign");
  result.host = std::string(host);
  if (!absl::SimpleAtoi(GetPart(url, CURLUPART_PORT, CURLU_DEFAULT_PORT), &result.port) || result.port < 1 || result.port > 65535) {
    return absl::InvalidArgumentError("the URL's port is not one of 1-65535");
  }
  if (curl_url_set(url, CURLUPART_FRAGMENT, nullptr, 0) != CURLUE_OK) return absl::InvalidArgumentError("the URL cannot be read");
  result.text = GetPart(url, CURLUPART_URL);
  if (result.text.empty()) return absl::InvalidArgumentError("the URL cannot be read");
  return result;
}

absl::StatusOr<HttpUrl> Read(const char* base, absl::string_view text) {
  RETURN_IF_ERROR(CheckCharacters(text));
  if (base == nullptr && text.find("://") == absl::string_view::npos) {
    return absl::InvalidArgumentError("the URL does not begin with http:// or https://; put one of them in front");
  }
  const UrlHandle url(curl_url());
  if (url == nullptr) return absl::ResourceExhaustedError("out of memory");
  if (base != nullptr && curl_url_set(url.get(), CURLUPART_URL, base, 0) != CURLUE_OK) return absl::InvalidArgumentError("the base URL cannot be read");
  // CURLU_NON_SUPPORT_SCHEME: so that our own sentence about the scheme is read.
  const CURLUcode code = curl_url_set(url.get(), CURLUPART_URL, std::string(text).c_str(), CURLU_NON_SUPPORT_SCHEME);
  if (code != CURLUE_OK) return absl::InvalidArgumentError(absl::StrCat("the URL cannot be read: ", curl_url_strerror(code)));
  return Check(url.get());
}

}  // namespace

std::string HttpUrl::Origin() const {
  const bool v6 = host.find(':') != std::string::npos;
  return absl::StrCat(scheme, "://", v6 ? "[" : "", host, v6 ? "]" : "", ":", port);
}

absl::StatusOr<HttpUrl> ParseHttpUrl(absl::string_view text) { return Read(nullptr, text); }

absl::StatusOr<HttpUrl> ResolveHttpUrl(const HttpUrl& base, absl::string_view reference) { return Read(base.text.c_str(), reference); }

}  // namespace agentruntime
