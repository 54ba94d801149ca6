#include "runtime/http/transfer.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <algorithm>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "absl/time/time.h"
#include "runtime/http/address_guard.h"

namespace agentruntime {
namespace {

constexpr absl::string_view kNotPublic = "is not a public address";

}  // namespace

Transfer::Transfer(std::shared_ptr<Exchange> exchange, std::string origin, const NetworkOptions& options)
    : exchange_(std::move(exchange)), origin_(std::move(origin)), easy_(curl_easy_init()), last_byte_(NetworkThread::Now()) {
  if (easy_ != nullptr) SetOptions(options);
}

Transfer::~Transfer() {
  if (easy_ != nullptr) curl_easy_cleanup(easy_);
  curl_slist_free_all(header_list_);
}

void Transfer::SetOptions(const NetworkOptions& options) {
  const HttpRequest& request = exchange_->request;
  curl_easy_setopt(easy_, CURLOPT_PRIVATE, this);
  curl_easy_setopt(easy_, CURLOPT_ERRORBUFFER, error_);
  curl_easy_setopt(easy_, CURLOPT_NOSIGNAL, 1L);
  // A name that is being resolved does not hold up the thread when its transfer is aborted.
  curl_easy_setopt(easy_, CURLOPT_QUICK_EXIT, 1L);
  curl_easy_setopt(easy_, CURLOPT_URL, exchange_->url.text.c_str());
  curl_easy_setopt(easy_, CURLOPT_PROTOCOLS_STR, "http,https");
  curl_easy_setopt(easy_, CURLOPT_FOLLOWLOCATION, 0L);
  const bool proxied = request.addresses == AddressPolicy::kAny && !options.proxy.empty();
  curl_easy_setopt(easy_, CURLOPT_PROXY, proxied ? options.proxy.c_str() : "");  // "": not the environment's either
  curl_easy_setopt(easy_, CURLOPT_SSLVERSION, CURL_SSLVERSION_TLSv1_2);
  if (!options.ca_file.empty()) curl_easy_setopt(easy_, CURLOPT_CAINFO, options.ca_file.c_str());
  curl_easy_setopt(easy_, CURLOPT_USERAGENT, options.user_agent.c_str());
  curl_easy_setopt(easy_, CURLOPT_CONNECTTIMEOUT_MS, static_cast<long>(std::max<int64_t>(1, absl::ToInt64Milliseconds(request.connect_timeout))));
  curl_easy_setopt(easy_, CURLOPT_TCP_KEEPALIVE, 1L);
  if (!request.repeatable) {
    curl_easy_setopt(easy_, CURLOPT_FRESH_CONNECT, 1L);
    curl_easy_setopt(easy_, CURLOPT_FORBID_REUSE, 1L);
  }

  for (const HttpHeader& header : request.headers) {
    // "Name;" is the library's way to write a header without a value.
    const std::string line = header.value.empty() ? absl::StrCat(header.name, ";") : absl::StrCat(header.name, ": ", header.value);
    header_list_ = curl_slist_append(header_list_, line.c_str());
  }
  header_list_ = curl_slist_append(header_list_, "Expect:");  // no pause before large bodies
  curl_easy_setopt(easy_, CURLOPT_HTTPHEADER, header_list_);

  if (request.method == "HEAD") {
    curl_easy_setopt(easy_, CURLOPT_NOBODY, 1L);
  } else if (request.method != "GET" || !request.body.empty()) {
    curl_easy_setopt(easy_, CURLOPT_POSTFIELDSIZE_LARGE, static_cast<curl_off_t>(request.body.size()));
    curl_easy_setopt(easy_, CURLOPT_POSTFIELDS, request.body.data());
    curl_easy_setopt(easy_, CURLOPT_CUSTOMREQUEST, request.method.c_str());
  }

  curl_easy_setopt(easy_, CURLOPT_HEADERFUNCTION, &Transfer::OnHeader);
  curl_easy_setopt(easy_, CURLOPT_HEADERDATA, this);
  curl_easy_setopt(easy_, CURLOPT_WRITEFUNCTION, &Transfer::OnBody);
  curl_easy_setopt(easy_, CURLOPT_WRITEDATA, this);
  curl_easy_setopt(easy_, CURLOPT_OPENSOCKETFUNCTION, &Transfer::OnSocket);
  curl_easy_setopt(easy_, CURLOPT_OPENSOCKETDATA, this);
  curl_easy_setopt(easy_, CURLOPT_PREREQFUNCTION, &Transfer::OnConnected);
  curl_easy_setopt(easy_, CURLOPT_PREREQDATA, this);
}

size_t Transfer::OnHeader(char* bytes, size_t size, size_t count, void* self) {
  return static_cast<Transfer*>(self)->Header(absl::string_view(bytes, size * count)) ? size * count : 0;
}

size_t Transfer::OnBody(char* bytes, size_t size, size_t count, void* self) {
  return static_cast<Transfer*>(self)->Body(absl::string_view(bytes, size * count));
}

int Transfer::OnConnected(void* self, char* remote, char*, int, int) {
  return static_cast<Transfer*>(self)->Connected(remote) ? CURL_PREREQFUNC_OK : CURL_PREREQFUNC_ABORT;
}

curl_socket_t Transfer::OnSocket(void* self, curlsocktype, curl_sockaddr* address) { return static_cast<Transfer*>(self)->Socket(*address); }

curl_socket_t Transfer::Socket(const curl_sockaddr& address) {
  if (exchange_->request.addresses == AddressPolicy::kPublicOnly && !IsPublicAddress(&address.addr, address.addrlen)) {
    refused_ = absl::StrCat(exchange_->url.host, ": ", AddressText(&address.addr, address.addrlen), " ", kNotPublic);
    return CURL_SOCKET_BAD;
  }
  return socket(address.family, address.socktype | SOCK_CLOEXEC, address.protocol);
}

// Called before the first byte of the request leaves, on new connections and on kept ones: a kept one may have been opened for somebody who may go anywhere.
bool Transfer::Connected(absl::string_view remote) {
  last_byte_ = NetworkThread::Now();
  if (exchange_->request.addresses == AddressPolicy::kPublicOnly) {
    const std::string text(remote);
    sockaddr_in v4 = {};
    sockaddr_in6 v6 = {};
    v4.sin_family = AF_INET;
    v6.sin6_family = AF_INET6;
    bool allowed = false;
    if (inet_pton(AF_INET, text.c_str(), &v4.sin_addr) == 1) {
      allowed = IsPublicAddress(reinterpret_cast<const sockaddr*>(&v4), sizeof(v4));
    } else if (inet_pton(AF_INET6, text.c_str(), &v6.sin6_addr) == 1) {
      allowed = IsPublicAddress(reinterpret_cast<const sockaddr*>(&v6), sizeof(v6));
    }
    if (!allowed) {
      refused_ = absl::StrCat(exchange_->url.host, ": ", remote, " ", kNotPublic);
      return false;
    }
  }
  sent_ = true;
  return true;
}

bool Transfer::Header(absl::string_view line) {
  last_byte_ = NetworkThread::Now();
  if (head_complete_) return true;  // trailers
  head_bytes_ += static_cast<int64_t>(line.size());
  if (head_bytes_ > kHttpHeaderBytesMax) {
    head_too_large_ = true;
    return false;
  }
  line = absl::StripSuffix(absl::StripSuffix(line, "\n"), "\r");
  if (absl::StartsWith(line, "HTTP/")) {  // each status line begins anew: 1xx answers and a proxy's come before the real one
    head_ = HttpHead();
    const size_t space = line.find(' ');
    if (space != absl::string_view::npos && !absl::SimpleAtoi(line.substr(space + 1, 3), &head_.status)) head_.status = 0;
    return true;
  }
  if (line.empty()) {
    head_complete_ = head_.status >= 200;
    if (head_complete_ && exchange_->streaming) PublishHead();
    return true;
  }
  const size_t colon = line.find(':');
  if (colon == absl::string_view::npos) return true;
  head_.headers.push_back({std::string(line.substr(0, colon)), std::string(absl::StripAsciiWhitespace(line.substr(colon + 1)))});
  return true;
}

void Transfer::PublishHead() {
  if (!head_complete_ || head_published_) return;
  absl::AnyInvocable<void()> waker;
  {
    MutexLock lock(exchange_->mu);
    head_published_ = true;
    exchange_->head = std::move(head_);
    exchange_->head_ready = true;
    if (exchange_->streaming) waker = std::exchange(exchange_->wake, nullptr);
  }
  if (waker) waker();
}

size_t Transfer::Body(absl::string_view bytes) {
  last_byte_ = NetworkThread::Now();
  if (tail_end_ != absl::InfiniteDuration()) {
    tail_bytes_ += static_cast<int64_t>(bytes.size());
    return tail_bytes_ > kTailBytes ? 0 : bytes.size();
  }
  const int64_t room = exchange_->request.response_bytes_max - body_bytes_;
  const absl::string_view taken = bytes.substr(0, static_cast<size_t>(std::max<int64_t>(0, room)));
  absl::AnyInvocable<void()> waker;
  {
    MutexLock lock(exchange_->mu);
    if (exchange_->left) return bytes.size();  // Leave is on its way to this thread
    if (exchange_->streaming && !exchange_->bytes.empty() && static_cast<int64_t>(exchange_->bytes.size() + taken.size()) > kHttpStreamBytesMax) {
      exchange_->paused = true;
      paused_ = true;
      return CURL_WRITEFUNC_PAUSE;  // the same bytes come again
    }
    exchange_->bytes.append(taken.data(), taken.size());
    if (exchange_->streaming) waker = std::exchange(exchange_->wake, nullptr);
  }
  if (waker) waker();
  body_bytes_ += static_cast<int64_t>(taken.size());
  if (taken.size() < bytes.size()) {
    too_large_ = true;
    return 0;
  }
  return bytes.size();
}

void Transfer::Resume() {
  if (!paused_) return;
  paused_ = false;
  last_byte_ = NetworkThread::Now();
  curl_easy_pause(easy_, CURLPAUSE_CONT);
}

void Transfer::Leave(absl::Duration now) {
  tail_end_ = now + kTailTime;
  Resume();
}

bool Transfer::IsLate(absl::Duration now, std::string& message) {
  if (now >= tail_end_) {
    message = "left";
    return true;
  }
  const HttpRequest& request = exchange_->request;
  if (now >= exchange_->deadline) {
    message = absl::StrCat(exchange_->url.host, " did not complete its answer within ", absl::FormatDuration(request.total_timeout));
    return true;
  }
  curl_off_t uploaded = 0;
  curl_easy_getinfo(easy_, CURLINFO_SIZE_UPLOAD_T, &uploaded);
  if (uploaded != uploaded_ || paused_ || !sent_) {  // before that the connect timeout counts
    uploaded_ = uploaded;
    last_byte_ = now;
  }
  if (now - last_byte_ >= request.idle_timeout) {
    message = absl::StrCat(exchange_->url.host, " sent nothing for ", absl::FormatDuration(request.idle_timeout));
    return true;
  }
  return false;
}

HttpEnd Transfer::Judge(CURLcode code, std::string& message) const {
  const std::string& host = exchange_->url.host;
  if (code == CURLE_OK && head_complete_) return HttpEnd::kResponse;
  if (!refused_.empty() && !sent_) {
    message = refused_;
    return HttpEnd::kRefused;
  }
  if (too_large_) {
    message = absl::StrCat(host, " answered more than ", exchange_->request.response_bytes_max, " bytes");
    return HttpEnd::kTooLarge;
  }
  if (head_too_large_) {
    message = absl::StrCat(host, " answered with more than ", kHttpHeaderBytesMax, " bytes of headers");
    return HttpEnd::kBroken;
  }
  if (code == CURLE_OK) {  // the library is content with half a head
    message = absl::StrCat(host, ":", exchange_->url.port, " broke off within its headers");
    return HttpEnd::kBroken;
  }
  const absl::string_view detail = error_[0] != '\0' ? absl::string_view(error_) : absl::string_view(curl_easy_strerror(code));
  if (code == CURLE_OPERATION_TIMEDOUT && !sent_) {
    message = absl::StrCat(host, ":", exchange_->url.port, " could not be connected within ", absl::FormatDuration(exchange_->request.connect_timeout));
    return HttpEnd::kTimeout;
  }
  message = absl::StrCat(host, ":", exchange_->url.port, sent_ ? " broke off: " : " cannot be reached: ", detail);
  return sent_ ? HttpEnd::kBroken : HttpEnd::kUnreachable;
}

}  // namespace agentruntime
