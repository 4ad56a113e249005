// The files that a finished job left: listed, and sent as they are read, with ranges and validators.
#include <algorithm>

#include "gateways/http/door.hpp"
#include "gateways/http/file_source.hpp"
#include "gateways/http/problem.hpp"
#include "messages/text.hpp"

namespace horizons::http {
namespace {

std::string_view type_of_file(std::string_view name) {
  if (name.ends_with(".fits") || name.ends_with(".uvfits")) return "application/fits";
  if (name.ends_with(".png")) return "image/png";
  if (name.ends_with(".json")) return "application/json";
  if (name.ends_with(".txt") || name.ends_with(".log")) return "text/plain; charset=utf-8";
  return "application/octet-stream";
}

/// Whether one of the tags of If-None-Match or If-Range is ours.
bool names_tag(std::string_view header, std::string_view tag) {
  return header == "*" || header.find(tag) != header.npos;
}

/// A file name and nothing more: no way out of the job's directory, nothing that breaks a header.
bool is_file_name(std::string_view name) {
  return !name.empty() && name.size() <= 255 && name != "." && name != ".." && name.find('/') == name.npos &&
         std::ranges::none_of(name, [](unsigned char c) { return c < 0x20 || c == 0x7f || c == '"' || c == '\\'; });
}

void send(const request& r, const result_location& where, const std::string& name, const reply& answer) {
  const auto size = static_cast<std::uint64_t>(std::max<std::int64_t>(where.size, 0));
  const std::string tag = '"' + where.sha256 + '"';
  response file{.content_type = std::string(type_of_file(name))};
  file.headers = {{"ETag", tag},
                  {"Accept-Ranges", "bytes"},
                  {"Cache-Control", "private, max-age=31536000, immutable"},
                  {"Content-Disposition", "inline; filename=\"" + name + "\""}};
  if (r.has_header("if-none-match") && names_tag(r.header("if-none-match"), tag)) {
    file.status = 304;
    return answer(std::move(file));
  }
  byte_range range{byte_range::whole, 0, size};
  if (r.has_header("range") && (!r.has_header("if-range") || r.header("if-range") == tag))
    range = parse_range(r.header("range"), size);
  if (range.kind == byte_range::whole) range = {byte_range::whole, 0, size};
  if (range.kind == byte_range::impossible) {
    auto refusal = problem(416, "Range not satisfiable",
                           "the range " + quote(r.header("range")) + " lies outside " + name + ", which has " +
                               std::to_string(size) + " bytes");
    refusal.headers.emplace_back("Content-Range", "bytes */" + std::to_string(size));
    return answer(std::move(refusal));
  }
  auto source = open_file(where.path, size, range.first, range.count);
  if (!source) return answer(problem(source.error()));
  file.stream = std::move(*source);
  if (range.kind == byte_range::part) {
    file.status = 206;
    file.headers.emplace_back("Content-Range", "bytes " + std::to_string(range.first) + "-" +
                                                   std::to_string(range.first + range.count - 1) + "/" +
                                                   std::to_string(size));
  }
  answer(std::move(file));
}

}  // namespace

void add_result_routes(router& to, const services& s) {
  to.add(
      {"GET",
       "/api/jobs/{id}/results",
       "The names of a job's result files.",
       {},
       {200, 401, 403, 404},
       [&s](const request& r, const reply& answer) {
         const auto id = r.parameters.at("id");
         if (!is_job_id(id)) return answer(problem(404, "Not found", "job " + quote(id) + " does not exist"));
         s.get_job(r.who, id, [answer, id](result<json> job) {
           if (!job) return answer(problem(job.error()));
           json files = json::array();
           if (const auto names = job->find("results"); names != job->end() && names->is_array())
             for (const auto& name : *names)
               if (name.is_string())
                 files.push_back({{"name", name}, {"url", "/api/jobs/" + id + "/results/" + name.get<std::string>()}});
           answer(json_response(200, {{"results", std::move(files)}}));
         });
       }});
  to.add({"GET",
          "/api/jobs/{id}/results/{name}",
          "One result file; ranges and If-None-Match are understood.",
          {},
          {200, 206, 304, 401, 403, 404, 416},
          [&s](const request& r, const reply& answer) {
            const auto &id = r.parameters.at("id"), &name = r.parameters.at("name");
            if (!is_job_id(id) || !is_file_name(name))
              return answer(problem(404, "Not found", "job " + quote(id) + " has no result " + quote(name)));
            s.find_result(r.who, id, name, [answer, r](result<result_location> where) {
              if (!where) return answer(problem(where.error()));
              send(r, *where, r.parameters.at("name"), answer);
            });
          }});
}

}  // namespace horizons::http
