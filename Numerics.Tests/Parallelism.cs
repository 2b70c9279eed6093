// Three classes at a time: tests of the verbs wait for processes of their own, those of serve for time to pass. A class that sets what
// belongs to the process (the engine's threads, vector width, provider and default generator, the environment), or that measures time or
// memory, has the machine to itself afterwards: it says DoNotParallelize.
[assembly: Parallelize(Workers = 3, Scope = ExecutionScope.ClassLevel)]
