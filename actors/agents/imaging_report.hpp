// What an imaging run tells: sources.json for maps, report.json for people and provenance, HISTORY for FITS readers.
#pragma once

#include <string>
#include <vector>

#include "actors/agents/stokes.hpp"
#include "gpu/imaging/imager.hpp"
#include "gpu/imaging/source_finder.hpp"
#include "messages/events.hpp"

namespace horizons::agents {

/// Everything the reports speak of, borrowed for the time of writing them.
struct imaging_story {
  const imaging::observation& observation;  // its visibilities may already be gone
  const stokes_selection& selection;
  const imaging::image_geometry& geometry;
  const imaging::imaging_products& products;
  const imaging::found_sources& found;
  const json& parameters;  // as used
  std::string dataset_uri, sha256, job_id;
  double read_seconds = 0, checksum_seconds = 0, image_seconds = 0, find_seconds = 0;

  double peak_jy() const;          // of the image
  double dynamic_range() const;    // peak / rms; 0 when the rms is 0
  double grid_mvis_per_s() const;  // gridding and degridding passes together, millions per second
};

/// GeoJSON (RFC 7946) FeatureCollection: points at [ra, dec] in ICRS degrees, ra from 0 to 360.
json sources_geojson(const imaging_story& s);

json imaging_report(const imaging_story& s);

/// The figures that go with the job's completion.
json imaging_metrics(const imaging_story& s);

std::vector<std::string> fits_history(const imaging_story& s);

}  // namespace horizons::agents
