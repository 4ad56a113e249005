// The direct Fourier transform in double precision: the slow, obvious twin that the gridder is tested against.
#pragma once

#include <complex>
#include <span>
#include <vector>

#include "gpu/imaging/geometry.hpp"

namespace horizons::imaging {

/// Same definition as gridder::grid, term by term in double. Cost: samples x pixels.
std::vector<double> dft_grid(const image_geometry& image, const uv_coverage& coverage,
                             std::span<const std::complex<double>> vis, std::span<const double> weight);

/// Same definition as gridder::degrid.
std::vector<std::complex<double>> dft_degrid(const image_geometry& image, const uv_coverage& coverage,
                                             std::span<const double> pixels);

/// Visibilities of point sources: flux_jy[i] at direction cosines (l[i], m[i]).
std::vector<std::complex<double>> dft_point_sources(const uv_coverage& coverage, std::span<const double> flux_jy,
                                                    std::span<const double> l, std::span<const double> m);

}  // namespace horizons::imaging
