"""A plugin for pytest: Hypothesis does not look for the smallest example, as any failure kills a mutant."""

from hypothesis import Phase, settings

settings.register_profile("unshrunk", phases=(Phase.explicit, Phase.generate))
settings.load_profile("unshrunk")
