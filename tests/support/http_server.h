// A small HTTP/1.1 server on loopback whose answers are written byte by byte, so that they can be slow, cut or wrong.
#pragma once

#include <atomic>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/strings/string_view.h"
#include "proto/base/mutex.h"

namespace agentruntime::testing {

struct ServedRequest {
  std::string method;
  std::string target;
  std::map<std::string, std::string> headers;  // names in lower case
  std::string body;
  int connection = 0;  // number of the connection, from 1
};

class HttpServer {
 public:
  // One connection, in its own thread.
  class Connection {
   public:
    virtual ~Connection() = default;
    virtual bool Write(absl::string_view bytes) = 0;  // false: the client has left
    // A whole answer; the connection is kept.
    void Answer(int status, absl::string_view body, absl::string_view headers = "");
    // Returns when the client has closed its end.
    virtual void WaitForClose() = 0;
    virtual void Close() = 0;  // after it no further request is read
    virtual void Reset() = 0;  // the same by RST
  };
  using Handler = std::function<void(const ServedRequest&, Connection&)>;

  // Whether `requests` has them: a load of hundreds of thousands should not be kept.
  enum class Keep { kRequests, kNothing };

  explicit HttpServer(Handler handler, Keep keep = Keep::kRequests);
  ~HttpServer();

  int port() const;
  std::string Url(absl::string_view target) const;  // http://127.0.0.1:PORT + target
  std::vector<ServedRequest> requests() const;      // seen so far
  int connections() const;                          // accepted so far
  // Until so many requests were seen; Keep::kRequests. False: a minute passed before.
  [[nodiscard]] bool AwaitRequests(size_t count);
  // Returns when every connection that was made before, accepted or not, has ended: what a client that is gone had sent has been handled then.
  void AwaitQuiet();

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace agentruntime::testing
