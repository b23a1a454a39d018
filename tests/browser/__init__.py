"""Tests in a real Chromium. A package, so that its browser ends before the other tests."""
