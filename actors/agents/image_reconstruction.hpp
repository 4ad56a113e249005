// The image-reconstruction agent: an observation in, a cleaned image, its sources and a report out.
// The numbers are made in gpu/imaging, the files by actors/observations; here they are brought together.
#pragma once

#include "actors/agents/agent.hpp"

namespace horizons::agents {

class image_reconstruction final : public agent {
public:
  std::string_view name() const override { return "image-reconstruction"; }
  std::string_view summary() const override {
    return "images an observation: weighting, w-aware gridding, CLEAN with major cycles, source list";
  }
  bool keeps_checkpoints() const override { return true; }  // after major cycles
  json parameter_schema() const override;
  result<void> check(const json& params) const override;

  /// Writes image.fits, residual.fits, model.fits, psf.fits, preview.png, sources.json and report.json. Fluxes are
  /// apparent: no correction for the primary beam. Further errors: limit_exceeded when the image does not fit into
  /// memory (the text says which size would), disk_full.
  result<agent_output> run(const agent_input& input, std::stop_token stop,
                           const gpu::progress_sink& progress) const override;
};

}  // namespace horizons::agents
