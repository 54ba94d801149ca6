// One libcurl transfer: how an exchange is put to the library, and what its callbacks do. Used by the network thread alone.
#pragma once

#include <curl/curl.h>

#include <cstdint>
#include <memory>
#include <string>

#include "absl/time/time.h"
#include "runtime/http/exchange.h"
#include "runtime/http/network_thread.h"

namespace agentruntime {

inline constexpr absl::Duration kTailTime = absl::Seconds(1);
inline constexpr int64_t kTailBytes = 64 << 10;

class Transfer {
 public:
  Transfer(std::shared_ptr<Exchange> exchange, std::string origin, const NetworkOptions& options);
  ~Transfer();
  Transfer(const Transfer&) = delete;
  Transfer& operator=(const Transfer&) = delete;

  CURL* easy() const { return easy_; }
  const std::string& origin() const { return origin_; }
  Exchange& exchange() { return *exchange_; }
  bool sent() const { return sent_; }
  // The coroutine took bytes.
  void Resume();
  // The coroutine has left.
  void Leave(absl::Duration now);
  // Whether a time is up; `message` says which.
  bool IsLate(absl::Duration now, std::string& message);
  // Hands the head over, once, as soon as it is complete.
  void PublishHead();
  // How the library's result reads to the caller.
  HttpEnd Judge(CURLcode code, std::string& message) const;

 private:
  static size_t OnHeader(char* bytes, size_t size, size_t count, void* self);
  static size_t OnBody(char* bytes, size_t size, size_t count, void* self);
  static int OnConnected(void* self, char* remote, char* local, int remote_port, int local_port);
  static curl_socket_t OnSocket(void* self, curlsocktype purpose, curl_sockaddr* address);

  bool Header(absl::string_view line);
  size_t Body(absl::string_view bytes);
  bool Connected(absl::string_view remote);
  curl_socket_t Socket(const curl_sockaddr& address);
  void SetOptions(const NetworkOptions& options);
  std::shared_ptr<Exchange> exchange_;
  std::string origin_;
  CURL* easy_;
  curl_slist* header_list_ = nullptr;
  char error_[CURL_ERROR_SIZE] = "";

  HttpHead head_;
  int64_t head_bytes_ = 0;
  bool head_complete_ = false;
  bool head_published_ = false;
  int64_t body_bytes_ = 0;
  bool paused_ = false;
  bool sent_ = false;
  bool too_large_ = false;
  bool head_too_large_ = false;
  std::string refused_;  // why the guard said no
  absl::Duration last_byte_;
  curl_off_t uploaded_ = 0;
  absl::Duration tail_end_ = absl::InfiniteDuration();
  int64_t tail_bytes_ = 0;
};

}  // namespace agentruntime
