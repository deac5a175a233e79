"""The cases of the test vectors, by chapter: {chapter: a function that yields its cases}.

Where a formula gives the answer (linear scores, mixtures, kernels, Adam on given gradients) it is
evaluated here, in plain NumPy, without the package: origin "closed form". Elsewhere the package's
objective, or sampler, is run on a network written in autograd's own operations, not on the package's
networks: origin "autograd"."""

from . import conditional, losses, models, refusals, samplers

CHAPTERS = models.CHAPTERS | losses.CHAPTERS | samplers.CHAPTERS | conditional.CHAPTERS | refusals.CHAPTERS
