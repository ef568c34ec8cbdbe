//! Has libFuzzer built; the fuzz targets link its static library.
