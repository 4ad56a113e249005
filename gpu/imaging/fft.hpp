// Fourier transforms: the one header in front of FFTW, which a build may replace by another library by writing
// fft.cpp anew. No FFTW type appears here. Transforms are not normalised: backward(forward(x)) = n x.
#pragma once

#include <complex>
#include <cstddef>
#include <cstdlib>
#include <memory>

namespace horizons::imaging {

enum class fft_direction { forward, backward };  // kernel exp(-2 pi i k x / n), exp(+2 pi i k x / n)

/// The smallest size >= n that is a product of 2, 3, 5 and 7 and a multiple of `multiple` (itself such a product).
std::size_t good_size(std::size_t n, std::size_t multiple = 1);

inline constexpr std::size_t fft_alignment_bytes = 64;

/// A plan for `interleave` 1-D complex transforms of `n` points in place: point k of transform j is
/// data[k * interleave + j]. Interleaved transforms share their vector instructions, which makes blocks of
/// columns of an image as fast as its rows. Plans are made by estimate, never by timing, so that a result is
/// the same bit for bit in every process.
template <class Real>
class fft_lines {
public:
  fft_lines(std::size_t n, std::size_t interleave, fft_direction direction);

  /// `data` [n][interleave], aligned to fft_alignment_bytes. Any number of threads may call at once.
  void operator()(std::complex<Real>* data) const;

private:
  std::shared_ptr<const void> plan_;
};

/// In-place 2-D transform of data[ny][nx] on all threads; no alignment is asked for.
template <class Real>
void fft_2d(std::complex<Real>* data, std::size_t ny, std::size_t nx, fft_direction direction);

/// Frees what aligned_array allocates.
struct free_memory {
  void operator()(void* p) const { std::free(p); }
};

template <class T>
using aligned_ptr = std::unique_ptr<T[], free_memory>;

/// `count` zeroed elements aligned for the transforms, on huge pages where the system grants them: grids are
/// walked in both directions, and 4 KiB pages would miss the TLB at each row. Throws std::bad_alloc.
template <class T>
aligned_ptr<T> aligned_array(std::size_t count);

extern template class fft_lines<float>;
extern template class fft_lines<double>;
extern template void fft_2d(std::complex<float>*, std::size_t, std::size_t, fft_direction);
extern template void fft_2d(std::complex<double>*, std::size_t, std::size_t, fft_direction);
extern template aligned_ptr<float> aligned_array(std::size_t);
extern template aligned_ptr<double> aligned_array(std::size_t);
extern template aligned_ptr<std::complex<float>> aligned_array(std::size_t);
extern template aligned_ptr<std::complex<double>> aligned_array(std::size_t);

}  // namespace horizons::imaging
