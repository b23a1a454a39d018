"""Recording of an application's calls: capture, pipeline, sinks and measurements."""
