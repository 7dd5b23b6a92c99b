#include "fresnel/net/proxy.hpp"

#include <gmock/gmock.h>

#include <map>

namespace fresnel::net {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;
using Kind = Proxy::Kind;

Proxy proxy(Kind kind, std::string host, std::uint16_t port, std::string username = "", std::string password = "") {
  return {kind, std::move(host), port, std::move(username), std::move(password)};
}

ProxyEnvironment environment(std::map<std::string, std::string> variables) {
  return ProxyEnvironment([&](const char* name) { return variables[name]; });
}

// The name of the proxy, empty for none.
std::string ask(const ProxyEnvironment& environment, bool tls, std::string_view host, std::uint16_t port = 80) {
  const auto found = environment.proxy_for("", tls, host, port);
  if (!found) return "error: " + found.error().message;
  return *found ? (*found)->name() : "";
}

TEST(ParseProxyUrl, TakesSchemeCredentialsHostAndPort) {
  EXPECT_EQ(parse_proxy_url("http://proxy.test").value(), proxy(Kind::http, "proxy.test", 80));
  EXPECT_EQ(parse_proxy_url("https://proxy.test/").value(), proxy(Kind::https, "proxy.test", 443));
  EXPECT_EQ(parse_proxy_url("socks5://proxy_1.test").value(), proxy(Kind::socks5, "proxy_1.test", 1080));
  EXPECT_EQ(parse_proxy_url("SOCKS5H://10.0.0.1:9").value(), proxy(Kind::socks5, "10.0.0.1", 9));
  EXPECT_EQ(parse_proxy_url("http://[2001:db8::1]:3128/path?query#f").value(), proxy(Kind::http, "2001:db8::1", 3128));
  EXPECT_EQ(parse_proxy_url("http://h:").value(), proxy(Kind::http, "h", 80));
  EXPECT_EQ(parse_proxy_url("http://ada:se%20c%3aret%2F@h:1").value(), proxy(Kind::http, "h", 1, "ada", "se c:ret/"));
  EXPECT_EQ(parse_proxy_url("http://ada:a:b@c@h:1").value(), proxy(Kind::http, "h", 1, "ada", "a:b@c"));
  EXPECT_EQ(parse_proxy_url("socks5://ada@h").value(), proxy(Kind::socks5, "h", 1080, "ada"));
  EXPECT_EQ(parse_proxy_url("http://@h").value(), proxy(Kind::http, "h", 80));
}

TEST(ParseProxyUrl, SaysWhatWasExpectedAndNothingOfTheUrl) {
  const std::string long_text(256, 'x');
  for (const std::string bad : {"",
                                "h",
                                "h:80",
                                "://h",
                                "ftp://ada:hush@h",
                                "socks4://ada:hush@h",
                                "http://",
                                "http://ada:hush@",
                                "http://ada:hush@:80",
                                "http://ada:hush@h:0",
                                "http://ada:hush@h:65536",
                                "http://ada:hush@h:8x",
                                "http://ada:hush@h:-1",
                                "http://ada:hush@[::1",
                                "http://ada:hush@[hush]",
                                "http://ada:hush@[::1]8",
                                "http://ada:hush%@h",
                                "http://ada:hush%4@h",
                                "http://ada:hush%zz@h",
                                "http://ada:hush%0a@h",
                                "http://ada:hush@h h",
                                "http://ada:hush@h:1:2",
                                "http://ada:hush@h%20",
                                "socks5://:hush@h"}) {
    const auto parsed = parse_proxy_url(bad);
    ASSERT_FALSE(parsed) << bad;
    EXPECT_EQ(parsed.error().code, Errc::invalid_argument);
    EXPECT_THAT(parsed.error().message, HasSubstr("expected http, https or socks5://"));
    EXPECT_THAT(parsed.error().message, Not(HasSubstr("hush")));
    EXPECT_THAT(parsed.error().message, Not(HasSubstr("ada")));
  }
  EXPECT_FALSE(parse_proxy_url("socks5://" + long_text + "@h"));
  EXPECT_FALSE(parse_proxy_url("socks5://a:" + long_text + "@h"));
  EXPECT_TRUE(parse_proxy_url("http://a:" + long_text + "@h"));
}

TEST(Proxy, ItsNameHasNoCredentials) {
  EXPECT_EQ(parse_proxy_url("https://ada:hush@h:1").value().name(), "https://h:1");
  EXPECT_EQ(parse_proxy_url("socks5h://ada:hush@[::1]").value().name(), "socks5://[::1]:1080");
}

TEST(ProxyEnvironment, HasAVariableForEachKindOfTarget) {
  const auto both = environment({{"HTTP_PROXY", "http://plain.test"}, {"HTTPS_PROXY", "socks5://secure.test"}});
  EXPECT_EQ(ask(both, false, "example.com"), "http://plain.test:80");
  EXPECT_EQ(ask(both, true, "example.com"), "socks5://secure.test:1080");
  const auto one = environment({{"HTTP_PROXY", "http://plain.test"}});
  EXPECT_EQ(ask(one, true, "example.com"), "");
  EXPECT_EQ(ask(environment({}), false, "example.com"), "");
}

TEST(ProxyEnvironment, PrefersUpperCase) {
  const auto mixed = environment({{"HTTP_PROXY", "http://upper.test"},
                                  {"http_proxy", "http://lower.test"},
                                  {"https_proxy", "http://lower.test"},
                                  {"NO_PROXY", "upper.example"},
                                  {"no_proxy", "lower.example"}});
  EXPECT_EQ(ask(mixed, false, "example.com"), "http://upper.test:80");
  EXPECT_EQ(ask(mixed, true, "example.com"), "http://lower.test:80");
  EXPECT_EQ(ask(mixed, true, "upper.example"), "");
  EXPECT_EQ(ask(mixed, true, "lower.example"), "http://lower.test:80");
}

TEST(ProxyEnvironment, AValueWithoutASchemeMeansHttp) {
  for (const auto& [value, name] :
       std::map<std::string, std::string>{{"127.0.0.1:8080", "http://127.0.0.1:8080"},
                                          {"cache.test:1234", "http://cache.test:1234"},
                                          {"cache.test", "http://cache.test:80"},
                                          {"localhost", "http://localhost:80"},
                                          {"ada:hush@cache.test:1", "http://cache.test:1"},
                                          {"https://cache.test", "https://cache.test:443"}}) {
    EXPECT_EQ(ask(environment({{"HTTP_PROXY", value}}), false, "example.com"), name) << value;
  }
}

TEST(ProxyEnvironment, AValueThatIsNoProxyIsAnErrorWhereItApplies) {
  const auto broken = environment({{"HTTPS_PROXY", "foo://ada:hush@h"}, {"NO_PROXY", "example.com"}});
  EXPECT_EQ(ask(broken, false, "example.org"), "");
  EXPECT_EQ(ask(broken, true, "example.com"), "");
  const auto error = ask(broken, true, "example.org");
  EXPECT_THAT(error, HasSubstr("HTTPS_PROXY"));
  EXPECT_THAT(error, Not(HasSubstr("hush")));
}

TEST(ProxyEnvironment, IgnoresHttpProxyInACgiProgram) {
  const auto cgi = environment({{"HTTP_PROXY", "http://evil.test"},
                                {"http_proxy", "http://evil.test"},
                                {"HTTPS_PROXY", "http://secure.test"},
                                {"REQUEST_METHOD", "GET"}});
  EXPECT_EQ(ask(cgi, false, "example.com"), "");
  EXPECT_EQ(ask(cgi, true, "example.com"), "http://secure.test:80");
}

TEST(ProxyEnvironment, AnExplicitProxyGoesBeforeTheEnvironmentAndNoProxy) {
  const auto all = environment({{"HTTPS_PROXY", "http://secure.test"}, {"NO_PROXY", "*"}});
  for (const auto* host : {"example.com", "localhost", "127.0.0.1"}) {
    const auto found = all.proxy_for("socks5://ada:hush@explicit.test", true, host, 443);
    EXPECT_EQ(found.value(), proxy(Kind::socks5, "explicit.test", 1080, "ada", "hush")) << host;
  }
  const auto bad = all.proxy_for("explicit.test:1080", true, "example.com", 443);
  ASSERT_FALSE(bad);
  EXPECT_EQ(bad.error().code, Errc::invalid_argument);
}

// The cases are those that golang.org/x/net/http/httpproxy is held to, and more of their kind.
TEST(ProxyEnvironment, ReadsNoProxyAsGoDoes) {
  struct Case {
    std::string no_proxy;
    std::string host;
    bool proxied;
    std::uint16_t port = 80;
  };
  const std::string list =
      "foobar.com, .barbaz.net, *.wildcard.io, 192.168.1.1, 192.168.1.2:81, 192.168.1.3:80, 10.0.0.0/30, "
      "2001:db8::52:0:1, [2001:db8::52:0:2]:443, [2001:db8::52:0:3]:80, 2002:db8:a::45/64";
  for (const auto& [no_proxy, host, proxied, port] :
       {// Without any list.
        Case{"", "example.com", true}, Case{"", "localhost", false}, Case{"", "127.0.0.1", false},
        Case{"", "127.0.0.2", false}, Case{"", "::1", false}, Case{"", "::2", true},
        Case{"", "::ffff:127.0.0.1", false}, Case{"", "localhost.net", true}, Case{"", "local.localhost", true},
        Case{"", "128.0.0.1", true},
        // Addresses.
        Case{list, "192.168.1.1", false}, Case{list, "192.168.1.2", true}, Case{list, "192.168.1.2", false, 81},
        Case{list, "192.168.1.3", false}, Case{list, "192.168.1.4", true}, Case{list, "10.0.0.2", false},
        Case{list, "10.0.0.4", true}, Case{list, "::ffff:10.0.0.2", false}, Case{list, "2001:db8::52:0:1", false},
        Case{list, "2001:db8::52:0:2", true}, Case{list, "2001:db8::52:0:3", false},
        Case{list, "2002:db8:a::123", false}, Case{list, "fe80::424b:c8be:1643:a1b6", true},
        Case{"0.0.0.0/0", "8.8.8.8", false}, Case{"0.0.0.0/0", "2001:db8::1", true}, Case{"::/0", "2001:db8::1", false},
        Case{"::/0", "8.8.8.8", true}, Case{"8.8.8.8/33", "8.8.8.8", true}, Case{"8.8.8.8/32", "8.8.8.8", false},
        Case{"8.8.8.8/x", "8.8.8.8", true}, Case{"8.8.8.8/", "8.8.8.8", true}, Case{"10.0.0.0/9", "10.127.0.1", false},
        Case{"10.0.0.0/9", "10.128.0.1", true}, Case{"fe80::1", "fe80::1%eth0", false},
        Case{"example.com", "1000::%.example.com", true}, Case{"[2001:db8::1]", "2001:db8::1", true},
        Case{".1", "10.0.0.1", true},
        // Names.
        Case{list, "barbaz.net", true}, Case{list, "www.barbaz.net", false}, Case{list, "foobar.com", false},
        Case{list, "www.foobar.com", false}, Case{list, "WWW.FooBar.com", false}, Case{list, "foofoobar.com", true},
        Case{list, "baz.com", true}, Case{list, "barbarbaz.net", true}, Case{list, "wildcard.io", true},
        Case{list, "nested.wildcard.io", false}, Case{list, "awildcard.io", true},
        Case{"ample.com", "example.com", true}, Case{"Example.COM:443", "example.com", true},
        Case{"Example.COM:443", "a.example.com", false, 443}, Case{"example.com:", "example.com", false},
        Case{"example.com:http", "example.com", true},
        // All, and what is no entry.
        Case{"*", "example.com", false}, Case{"foo, *", "8.8.8.8", false}, Case{":1", "example.com", true, 1},
        Case{" , ,, ", "example.com", true}, Case{"\texample.com\t", "example.com", false}}) {
    const auto asked = environment({{"HTTP_PROXY", "http://proxy.test"}, {"NO_PROXY", no_proxy}});
    EXPECT_EQ(ask(asked, false, host, port), proxied ? "http://proxy.test:80" : "")
        << "NO_PROXY=" << no_proxy << ": " << host << ", port " << port;
  }
}

}  // namespace
}  // namespace fresnel::net
