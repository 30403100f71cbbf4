"""Files: what dfd reads (images, RAW, EXIF, capture.toml) and what it writes (DNG, maps, point clouds, results)."""
