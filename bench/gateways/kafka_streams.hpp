// Kafka Streams at the pass-through of kafka_bench: a Java program beside this file, built on first use.
#pragma once

#include <cstdio>
#include <filesystem>
#include <sstream>
#include <string>
#include <vector>

#include "bench/gateways/kafka_bare.hpp"

namespace horizons::bench {

/// One rate per round; empty, with a line on stderr, where a JDK or Maven is not installed or it has failed.
inline std::vector<rate> kafka_streams(const std::string& brokers, const std::string& from, const std::string& to,
                                       std::size_t count, int rounds, int linger_ms) {
  namespace fs = std::filesystem;
  const auto quoted = [](const fs::path& p) { return "'" + p.string() + "'"; };
  const fs::path sources = HORIZONS_SOURCE_DIR "/bench/gateways/kafka_streams";
  const fs::path work = HORIZONS_BINARY_DIR "/bench/kafka_streams";
  fs::create_directories(work / "classes");
  const auto lib = quoted(work / "lib"), classes = quoted(work / "classes");
  std::string command;
  if (!fs::exists(work / "lib/fetched"))
    command = "mvn -q -B -C -f " + quoted(sources / "pom.xml") +
              " org.apache.maven.plugins:maven-dependency-plugin:3.6.1:copy-dependencies -DoutputDirectory=" + lib +
              " >&2 && touch " + lib + "/fetched && ";
  command += "javac -cp " + lib + "/'*' -d " + classes + " " + quoted(sources / "Peer.java") + " && java -cp " +
             classes + ":" + lib + "/'*' Peer " + brokers + " " + from + " " + to + " " + std::to_string(count) + " " +
             std::to_string(rounds) + " " + std::to_string(linger_ms);
  std::string text;
  FILE* pipe = ::popen(command.c_str(), "r");
  char part[4096];
  while (const auto n = pipe ? std::fread(part, 1, sizeof part, pipe) : 0) text.append(part, n);
  std::vector<rate> found;
  if (!pipe || ::pclose(pipe) != 0) {
    std::fprintf(stderr, "Kafka Streams is left out: it is not installed or has failed\n");
    return found;
  }
  std::istringstream lines(text);
  for (rate r; lines >> r.per_s >> r.cpu_us;) found.push_back(r);
  return found;
}

}  // namespace horizons::bench
