// The picture of an image for people: colours, a colour bar with numbers, axes, the beam. Knows nothing of files or
// jobs.
#pragma once

#include <span>
#include <stop_token>
#include <string>

#include "gpu/imaging/beam.hpp"
#include "gpu/imaging/geometry.hpp"
#include "messages/result.hpp"

namespace horizons::agents {

struct preview_caption {
  std::string title;     // first line: the object
  std::string subtitle;  // second line: what it was made from, rms, beam
};

/// The bytes of a PNG of at most about 1100 x 1000 pixels. `pixels` [ny][nx] in Jy/beam, NaN = blank, are stretched
/// with asinh between two sigma below zero and the maximum, so that noise and brightest source are seen together;
/// larger images show the brightest of each block of pixels, smaller ones are enlarged. East is left. Fails with
/// internal, or with cancelled.
result<std::string> draw_preview(std::span<const float> pixels, const imaging::image_geometry& g,
                                 const imaging::gaussian_beam& beam, double rms_jy, const preview_caption& caption,
                                 const std::stop_token& stop = {});

}  // namespace horizons::agents
