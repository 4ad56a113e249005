#include "gpu/imaging/fft.hpp"

#include <fftw3.h>
#include <sys/mman.h>

#include <algorithm>
#include <cstring>
#include <map>
#include <mutex>
#include <new>
#include <stdexcept>
#include <tuple>
#include <type_traits>

#include "gpu/parallel.hpp"

namespace horizons::imaging {
namespace {

constexpr std::size_t plans_max = 64;  // cached plans; a plan is a few kilobytes
constexpr std::size_t huge_page_bytes = std::size_t{2} << 20;
constexpr std::size_t column_block_bytes = 128;  // two cache lines of each row at once

std::mutex planning;  // FFTW's planner is not thread-safe; its executors are

template <class Real>
struct fftw;

template <>
struct fftw<float> {
  using plan = fftwf_plan;
  using complex = fftwf_complex;
  static constexpr auto plan_many = fftwf_plan_many_dft;
  static constexpr auto execute = fftwf_execute_dft;
  static constexpr auto destroy = fftwf_destroy_plan;
};

template <>
struct fftw<double> {
  using plan = fftw_plan;
  using complex = fftw_complex;
  static constexpr auto plan_many = fftw_plan_many_dft;
  static constexpr auto execute = fftw_execute_dft;
  static constexpr auto destroy = fftw_destroy_plan;
};

template <class Real>
std::shared_ptr<const void> make_plan(std::size_t n, std::size_t interleave, fft_direction direction) {
  using api = fftw<Real>;
  if (n == 0 || n > (std::size_t{1} << 24) || interleave == 0 || interleave > 1024)
    throw std::invalid_argument("a transform must have 1 to 2^24 points");
  static std::map<std::tuple<std::size_t, std::size_t, fft_direction>, std::shared_ptr<const void>> cache;
  std::lock_guard lock(planning);
  auto& entry = cache[{n, interleave, direction}];
  if (entry) return entry;
  auto scratch = aligned_array<std::complex<Real>>(n * interleave);
  auto* data = reinterpret_cast<typename api::complex*>(scratch.get());
  const int size = static_cast<int>(n);
  const int stride = static_cast<int>(interleave);
  auto plan = api::plan_many(1, &size, stride, data, nullptr, stride, 1, data, nullptr, stride, 1,
                             direction == fft_direction::forward ? FFTW_FORWARD : FFTW_BACKWARD, FFTW_ESTIMATE);
  if (!plan) {
    cache.erase({n, interleave, direction});
    throw std::bad_alloc();
  }
  auto shared = std::shared_ptr<const void>(plan, [](const void* p) {
    api::destroy(static_cast<typename api::plan>(const_cast<void*>(p)));  // runs under `planning`, or at the end
  });
  entry = shared;
  if (cache.size() > plans_max)
    std::erase_if(cache, [](const auto& item) { return item.second.use_count() == 1; });  // nobody holds these
  return shared;
}

}  // namespace

std::size_t good_size(std::size_t n, std::size_t multiple) {
  if (n <= 1) return std::max<std::size_t>(multiple, 1);
  const std::size_t least = (n + multiple - 1) / multiple;
  std::size_t best = 1;
  while (best < least) best *= 2;
  for (std::size_t f7 = 1; f7 < best; f7 *= 7)
    for (std::size_t f5 = f7; f5 < best; f5 *= 5)
      for (std::size_t f3 = f5; f3 < best; f3 *= 3) {
        std::size_t f2 = f3;
        while (f2 < least) f2 *= 2;
        best = std::min(best, f2);
      }
  return best * multiple;
}

template <class Real>
fft_lines<Real>::fft_lines(std::size_t n, std::size_t interleave, fft_direction direction)
    : plan_(make_plan<Real>(n, interleave, direction)) {}

template <class Real>
void fft_lines<Real>::operator()(std::complex<Real>* data) const {
  using api = fftw<Real>;
  auto* line = reinterpret_cast<typename api::complex*>(data);
  api::execute(static_cast<typename api::plan>(const_cast<void*>(plan_.get())), line, line);
}

template <class Real>
void fft_2d(std::complex<Real>* data, std::size_t ny, std::size_t nx, fft_direction direction) {
  using complex = std::complex<Real>;
  const fft_lines<Real> along_x(nx, 1, direction);
  gpu::parallel_for(ny, 16, [&](std::size_t begin, std::size_t end, std::size_t) {
    auto line = aligned_array<complex>(nx);
    for (std::size_t y = begin; y < end; ++y) {
      std::copy_n(data + y * nx, nx, line.get());
      along_x(line.get());
      std::copy_n(line.get(), nx, data + y * nx);
    }
  });
  constexpr std::size_t width = column_block_bytes / sizeof(complex);
  const fft_lines<Real> along_y(ny, width, direction);
  const std::size_t blocks = (nx + width - 1) / width;
  gpu::parallel_for(blocks, 1, [&](std::size_t begin, std::size_t end, std::size_t) {
    auto columns = aligned_array<complex>(ny * width);
    for (std::size_t block = begin; block < end; ++block) {
      const std::size_t x = block * width;
      const std::size_t used = std::min(width, nx - x);  // the last block may carry stale columns along
      for (std::size_t y = 0; y < ny; ++y) std::copy_n(data + y * nx + x, used, columns.get() + y * width);
      along_y(columns.get());
      for (std::size_t y = 0; y < ny; ++y) std::copy_n(columns.get() + y * width, used, data + y * nx + x);
    }
  });
}

template <class T>
aligned_ptr<T> aligned_array(std::size_t count) {
  if (count > (std::size_t{1} << 60) / sizeof(T)) throw std::bad_alloc();
  const std::size_t bytes = std::max<std::size_t>(count * sizeof(T), 1);
  const bool huge = bytes >= 4 * huge_page_bytes;
  const std::size_t unit = huge ? huge_page_bytes : fft_alignment_bytes;
  const std::size_t rounded = (bytes + unit - 1) / unit * unit;
  void* memory = std::aligned_alloc(unit, rounded);
  if (!memory) throw std::bad_alloc();
#ifdef MADV_HUGEPAGE
  if (huge) madvise(memory, rounded, MADV_HUGEPAGE);  // advice: a refusal costs speed only
#endif
  // Pages are first touched by several threads: one thread would zero a large grid at half the speed.
  auto* first = static_cast<char*>(memory);
  const std::size_t piece = 4 * huge_page_bytes;
  gpu::parallel_for((rounded + piece - 1) / piece, 1, [&](std::size_t begin, std::size_t end, std::size_t) {
    std::memset(first + begin * piece, 0, std::min(rounded, end * piece) - begin * piece);
  });
  return aligned_ptr<T>(static_cast<T*>(memory));
}

template class fft_lines<float>;
template class fft_lines<double>;
template void fft_2d(std::complex<float>*, std::size_t, std::size_t, fft_direction);
template void fft_2d(std::complex<double>*, std::size_t, std::size_t, fft_direction);
template aligned_ptr<float> aligned_array(std::size_t);
template aligned_ptr<double> aligned_array(std::size_t);
template aligned_ptr<std::complex<float>> aligned_array(std::size_t);
template aligned_ptr<std::complex<double>> aligned_array(std::size_t);

}  // namespace horizons::imaging
