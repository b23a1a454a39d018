"""From a call in the application to a line in a file: capture, pipeline, sinks, measurements."""
