#include "runtime/http/url.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

namespace agentruntime {
namespace {

using ::testing::HasSubstr;

TEST(ParseHttpUrlTest, ReadsWhatWillBeAsked) {
  struct Case {
    const char* text;
    const char* host;
    int port;
    const char* normalised;
  };
  for (const Case& c : {
           Case{"http://example.com", "example.com", 80, "http://example.com/"},
           Case{"HTTPS://Example.COM:8443/a?b=c#d", "example.com", 8443, "https://Example.COM:8443/a?b=c"},
           Case{"https://example.com./", "example.com", 443, "https://example.com./"},
           Case{"http://[::1]:80/", "::1", 80, "http://[::1]:80/"},
           // Every way to write 127.0.0.1 is that address.
           Case{"http://2130706433/", "127.0.0.1", 80, "http://127.0.0.1/"},
           Case{"http://0x7f.1/", "127.0.0.1", 80, "http://127.0.0.1/"},
           Case{"http://0177.0.0.1/", "127.0.0.1", 80, "http://127.0.0.1/"},
       }) {
    const auto url = ParseHttpUrl(c.text);
    ASSERT_TRUE(url.ok()) << c.text << ": " << url.status();
    EXPECT_EQ(url->host, c.host) << c.text;
    EXPECT_EQ(url->port, c.port) << c.text;
    EXPECT_EQ(url->text, c.normalised) << c.text;
  }
}

TEST(ParseHttpUrlTest, RefusesWithASentence) {
  struct Case {
    std::string text;
    const char* why;
  };
  for (const Case& c : {
           Case{"", "empty"},
           Case{"file:///etc/passwd", "scheme is \"file\""},
           Case{"ftp://example.com/", "scheme is \"ftp\""},
           Case{"gopher://example.com/", "scheme is \"gopher\""},
           Case{"javascript:alert(1)", "URL"},
           Case{"127.0.0.1:18080", "does not begin with http:// or https://"},
           Case{"localhost:18080/v1", "does not begin with http:// or https://"},
           Case{"http://user@example.com/", "user name"},
           Case{"http://user:pass@example.com/", "user name"},
           Case{"http://:pass@example.com/", "password"},
           Case{"http://@example.com/", "user name"},
           Case{"http://example.com\\@evil.example/", "backslash"},
           Case{"http://exa mple.com/", "space"},
           Case{"http://example.com/\r\nX: y", "control character"},
           Case{std::string("http://example.com/\0x", 21), "control character"},
           Case{"http://ex\xC3\xA4mple.com/", "not ASCII"},
           Case{"http://[fe80::1%25eth0]/", "zone id"},
           Case{"http://example.com:99999/", "URL"},
           Case{"//example.com/", "URL"},
           Case{"example.com", "URL"},
           Case{"http://example.com/" + std::string(kUrlBytesMax, 'a'), "longer than"},
       }) {
    const auto url = ParseHttpUrl(c.text);
    ASSERT_FALSE(url.ok()) << c.text << " was read as " << url->text;
    EXPECT_THAT(std::string(url.status().message()), HasSubstr(c.why)) << c.text;
  }
}

TEST(ResolveHttpUrlTest, ReadsALocationAsSeenFromItsPage) {
  const HttpUrl base = *ParseHttpUrl("https://example.com/a/b?c");
  EXPECT_EQ(ResolveHttpUrl(base, "/x")->text, "https://example.com/x");
  EXPECT_EQ(ResolveHttpUrl(base, "d")->text, "https://example.com/a/d");
  EXPECT_EQ(ResolveHttpUrl(base, "//other.example/y")->text, "https://other.example/y");
  EXPECT_EQ(ResolveHttpUrl(base, "http://169.254.169.254/latest")->host, "169.254.169.254");
  EXPECT_FALSE(ResolveHttpUrl(base, "file:///etc/passwd").ok());
  EXPECT_EQ(base.Origin(), "https://example.com:443");
}

}  // namespace
}  // namespace agentruntime
