// The engine's threads, vector width and provider belong to the process, and tests set them; and timings want the cores to themselves.
[assembly: DoNotParallelize]
