#include "runtime/kit/credit_gauge.hpp"

#include "runtime/kit/cell.hpp"

namespace horizons::kit {

credit_gauge gauge_of(context& self) {
  auto book = self.self().cell()->shared_book();  // keeps the registry, and with it the metrics
  return credit_gauge({book, &book->metrics.credit_outstanding});
}

}  // namespace horizons::kit
