// Two classes at a time: most tests of the verbs wait for a process of their own. A class that sets what belongs to the process (the
// engine's threads, vector width, provider and default generator, the environment), or that measures time or memory, has the machine to
// itself afterwards: it says DoNotParallelize.
[assembly: Parallelize(Workers = 2, Scope = ExecutionScope.ClassLevel)]
