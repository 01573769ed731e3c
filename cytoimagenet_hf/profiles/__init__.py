"""From features of images to profiles of wells: plate maps, normalisation, screens, the plate's page."""
