// Erlang/OTP and Apache Pekko at the tasks of runtime_bench: programs of their own beside this file, built on first
// use.
#pragma once

#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <map>
#include <optional>
#include <sstream>
#include <string>
#include <vector>

#include "bench/runtime/runtime_sides/signal.hpp"

namespace horizons::bench {

/// What a peer printed, by task ("ping_pong"), one value per round.
using peer_figures = std::map<std::string, std::vector<double>>;

/// Standard output of a shell command; nothing when it failed.
inline std::optional<std::string> output_of(const std::string& command) {
  FILE* pipe = ::popen(command.c_str(), "r");
  if (!pipe) return std::nullopt;
  std::string text;
  char part[4096];
  for (std::size_t n; (n = std::fread(part, 1, sizeof part, pipe)) > 0;) text.append(part, n);
  return ::pclose(pipe) == 0 ? std::optional(text) : std::nullopt;
}

class peers {
public:
  /// `sources`: bench/runtime of the checkout; `work`: a folder for what is built and fetched.
  peers(std::filesystem::path sources, std::filesystem::path work)
      : sources_(std::move(sources)), work_(std::move(work)) {
    std::filesystem::create_directories(work_ / "erlang");
    std::filesystem::create_directories(work_ / "pekko/classes");
  }

  /// Empty when it is not installed (erlang-base) or has failed.
  peer_figures erlang(int rounds) const {
    const auto to = quoted(work_ / "erlang");
    return figures("Erlang", "erlc -o " + to + " " + quoted(sources_ / "erlang/runtime_peer.erl"),
                   "ERL_CRASH_DUMP_BYTES=0 erl -noshell -pa " + to + " -run runtime_peer main " + arguments(rounds));
  }
  std::string erlang_version() const {
    return first_line(
        "erl -noshell -eval 'io:format(\"~s, erts ~s~n\", [erlang:system_info(otp_release), "
        "erlang:system_info(version)]), halt().'");
  }

  /// Empty when a JDK or Maven is not installed, the artefacts cannot be had, or it has failed.
  peer_figures pekko(int rounds) const {
    const auto lib = quoted(work_ / "pekko/lib"), classes = quoted(work_ / "pekko/classes");
    std::string build;
    if (!std::filesystem::exists(work_ / "pekko/lib/fetched"))
      build = "mvn -q -B -C -f " + quoted(sources_ / "pekko/pom.xml") +
              " org.apache.maven.plugins:maven-dependency-plugin:3.6.1:copy-dependencies -DoutputDirectory=" + lib +
              " >&2 && touch " + lib + "/fetched && ";
    build += "javac -cp " + lib + "/'*' -d " + classes + " " + quoted(sources_ / "pekko/Peer.java");
    return figures("Pekko", build, "java -cp " + classes + ":" + lib + "/'*' Peer " + arguments(rounds));
  }
  std::string java_version() const { return first_line("java -version 2>&1"); }

private:
  static std::string quoted(const std::filesystem::path& p) { return "'" + p.string() + "'"; }
  static std::string arguments(int rounds) {
    std::string r = std::to_string(rounds);
    for (auto n : {round_trips, fan_in_senders, fan_in_each, spawns, static_cast<std::uint64_t>(crashes)})
      r += " " + std::to_string(n);
    return r;
  }
  static std::string first_line(const std::string& command) {
    const auto text = output_of(command).value_or("not installed\n");
    return text.substr(0, text.find('\n'));
  }
  static peer_figures figures(const char* name, const std::string& build, const std::string& run) {
    peer_figures found;
    const auto text = output_of(build + " && " + run);
    if (!text) {
      std::fprintf(stderr, "%s is left out: it is not installed or has failed\n", name);
      return found;
    }
    std::istringstream lines(*text);
    std::string task;
    for (double value; lines >> task >> value;) found[task].push_back(value);
    return found;
  }

  std::filesystem::path sources_, work_;
};

}  // namespace horizons::bench
