// The web page: a few small files from inside the program. They hold no data, so anybody on this machine may read them.
#include "gateways/http/door.hpp"
#include "gateways/web/assets.hpp"

namespace horizons::http {

void add_page_routes(router& to) {
  for (const auto& each : web::assets()) {
    to.add({"GET",
            std::string(each.path),
            each.path == "/" ? "The live page." : "A part of the live page.",
            {},
            {200, 304},
            [&each](const request& r, const reply& answer) {
              const auto tag = '"' + std::string(each.sha256) + '"';
              response file{.content_type = std::string(each.content_type),
                            .headers = {{"ETag", tag}, {"Cache-Control", "no-cache"}}};
              file.headers.emplace_back(
                  "Content-Security-Policy",
                  "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
                  "base-uri 'none'; form-action 'none'; frame-ancestors 'none'");
              if (r.header("if-none-match") == tag)
                file.status = 304;
              else
                file.body = each.content;
              answer(std::move(file));
            },
            true});
  }
}

}  // namespace horizons::http
