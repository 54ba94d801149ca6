#include "runtime/http/address_guard.h"

#include <arpa/inet.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/un.h>

#include <string>

namespace agentruntime {
namespace {

bool IsPublic(const std::string& text) {
  sockaddr_in v4 = {};
  v4.sin_family = AF_INET;
  if (inet_pton(AF_INET, text.c_str(), &v4.sin_addr) == 1) return IsPublicAddress(reinterpret_cast<sockaddr*>(&v4), sizeof(v4));
  sockaddr_in6 v6 = {};
  v6.sin6_family = AF_INET6;
  EXPECT_EQ(inet_pton(AF_INET6, text.c_str(), &v6.sin6_addr), 1) << text;
  EXPECT_EQ(AddressText(reinterpret_cast<sockaddr*>(&v6), sizeof(v6)).empty(), false);
  return IsPublicAddress(reinterpret_cast<sockaddr*>(&v6), sizeof(v6));
}

TEST(IsPublicAddressTest, RefusesWhatIsNotOfThePublicInternet) {
  for (const char* address :
       {// IPv4: both ends of each range.
        "0.0.0.0", "0.255.255.255", "10.0.0.0", "10.255.255.255", "100.64.0.0", "100.127.255.255", "100.100.100.200", "127.0.0.1", "127.255.255.254",
        "168.63.129.16", "169.254.0.0", "169.254.169.254", "169.254.170.2", "169.254.255.255", "172.16.0.0", "172.31.255.255", "192.0.0.0", "192.0.0.192",
        "192.0.0.255", "192.0.2.1", "192.31.196.1", "192.52.193.1", "192.88.99.1", "192.168.0.0", "192.168.255.255", "192.175.48.1", "198.18.0.0",
        "198.19.255.255", "198.51.100.7", "203.0.113.255", "224.0.0.1", "239.255.255.255", "240.0.0.0", "255.255.255.255",
        // IPv6.
        "::", "::1", "::2", "::8.8.8.8", "::ffff:127.0.0.1", "::ffff:10.0.0.1", "::ffff:169.254.169.254", "::ffff:0:8.8.8.8", "64:ff9b::127.0.0.1",
        "64:ff9b::192.168.1.1", "64:ff9b:1::8.8.8.8", "100::1", "2001::1", "2001:0:4136:e378:8000:63bf:3fff:fdd2", "2001:2::1", "2001:10::1", "2001:20::1",
        "2001:1ff:ffff::1", "2001:db8::1", "2001:db8:ffff::1", "2002:7f00:1::1", "2002:808:808::1", "2620:4f:8000::1", "3ffe::1", "3fff::1", "3fff:fff::1",
        "4000::1", "5f00::1", "fc00::1", "fd00:ec2::254", "fdff::1", "fe80::1", "fe80::a9fe:a9fe", "febf::1", "fec0::1", "ff02::1", "ff0e::1"}) {
    EXPECT_FALSE(IsPublic(address)) << address;
  }
}

TEST(IsPublicAddressTest, AllowsItsNeighbours) {
  for (const char* address :
       {"1.0.0.0", "8.8.8.8", "9.255.255.255", "11.0.0.0", "100.63.255.255", "100.128.0.0", "126.255.255.255", "128.0.0.0", "168.63.129.15", "168.63.129.17",
        "169.253.255.255", "169.255.0.0", "172.15.255.255", "172.32.0.0", "192.0.1.0", "192.0.3.0", "192.167.255.255", "192.169.0.0", "198.17.255.255",
        "198.20.0.0", "198.51.99.255", "203.0.112.255", "203.0.114.0", "223.255.255.255",
        // IPv6; mapped and NAT64 forms of public IPv4.
        "2000::1", "2001:200::1", "2001:4860:4860::8888", "2001:db7::1", "2001:db9::1", "2003::1", "2606:4700::1111", "2a00:1450::1", "3ffd::1", "3fff:1000::1",
        "::ffff:8.8.8.8", "64:ff9b::8.8.8.8"}) {
    EXPECT_TRUE(IsPublic(address)) << address;
  }
}

TEST(IsPublicAddressTest, RefusesOtherFamiliesAndCutAddresses) {
  sockaddr_un local = {};
  local.sun_family = AF_UNIX;
  EXPECT_FALSE(IsPublicAddress(reinterpret_cast<sockaddr*>(&local), sizeof(local)));
  sockaddr_in v4 = {};
  v4.sin_family = AF_INET;
  inet_pton(AF_INET, "8.8.8.8", &v4.sin_addr);
  EXPECT_TRUE(IsPublicAddress(reinterpret_cast<sockaddr*>(&v4), sizeof(v4)));
  EXPECT_FALSE(IsPublicAddress(reinterpret_cast<sockaddr*>(&v4), 4));
  EXPECT_FALSE(IsPublicAddress(nullptr, 0));
}

TEST(HostAllowListTest, MatchesWholeNamesAndPorts) {
  const auto list = HostAllowList::Parse({"Status.Example.com", "*.docs.example.com", "api.example.com:8443", "[2001:db8::1]:81"});
  ASSERT_TRUE(list.ok()) << list.status();
  EXPECT_TRUE(list->Allows("status.example.com", 80));
  EXPECT_TRUE(list->Allows("status.example.com", 443));
  EXPECT_FALSE(list->Allows("status.example.com", 8080));
  EXPECT_FALSE(list->Allows("x.status.example.com", 443));
  EXPECT_FALSE(list->Allows("evilstatus.example.com", 443));
  EXPECT_FALSE(list->Allows("status.example.com.evil.example", 443));
  EXPECT_TRUE(list->Allows("a.docs.example.com", 443));
  EXPECT_TRUE(list->Allows("a.b.docs.example.com", 443));
  EXPECT_FALSE(list->Allows("docs.example.com", 443));
  EXPECT_FALSE(list->Allows("xdocs.example.com", 443));
  EXPECT_TRUE(list->Allows("api.example.com", 8443));
  EXPECT_FALSE(list->Allows("api.example.com", 443));
  EXPECT_TRUE(list->Allows("2001:db8::1", 81));
  EXPECT_FALSE(HostAllowList().Allows("status.example.com", 443));
}

TEST(HostAllowListTest, NamesTheEntryThatIsNoHost) {
  for (const char* entry :
       {"", "*", "*.", "https://example.com", "example.com/path", "user@example.com", "a b", "example.com:0", "example.com:99999", "*.*.com"}) {
    const auto list = HostAllowList::Parse({entry});
    ASSERT_FALSE(list.ok()) << entry;
    EXPECT_THAT(std::string(list.status().message()), ::testing::HasSubstr("is no host"));
  }
}

}  // namespace
}  // namespace agentruntime
