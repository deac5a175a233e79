"""Data on a curve have no density, and noise gives them one whose score points back to the curve.

Points on a curve, each with a little noise σz: across the curve their density is that of the noise, so the part of
the score normal to it is −(x − Πx)/σ², with Πx the nearest point of the curve. A network learns it by denoising
(first two panels; it is right where the noise put data, within 2σ). Right, the losses of training beside the least
value that theory allows them. With noise, the implicit loss ends near −½ E‖∇log q_σ‖². Without, there is no such
value: the steeper the score across the curve, the lower the loss, and training never ends. The denoising loss does
not end at 0 but at the part of the noise that no one can guess, d/2σ² − ½ E‖∇log q_σ‖²; a loss that stays up
is no failure, and a lower one on fresh data is a mistake.

Source: Song & Ermon 2019, section 3.2; equations ISM.6, ISM.14 and DSM.6.
Settings: the swiss roll, noise 0.05 or none; the exact density by 600 nodes along the curve; 2-64-64-2 networks,
3,000 Adam steps of 256, rate 0.01, denoising under z and −z; 10,000 fresh points, each under z and −z.
"""

from types import SimpleNamespace

import numpy as np

import scoremin as sm

from . import common as c

SIGMA, BOX = 0.05, 1.75


def curve(u):
    """The roll's points without noise (n,2), and the unit normals there (n,2), for u (n,), uniform on [0, 1]."""
    t = 1.5 * np.pi * (1 + 2 * u)
    ray, across = np.stack([np.cos(t), np.sin(t)], axis=1), np.stack([-np.sin(t), np.cos(t)], axis=1)
    t = t[:, None]
    return t * ray / 10, (t * ray - across) / np.hypot(t, 1)                 # the tangent is ray + t across


def true_score(x):
    """∇log q_σ of the roll, by the midpoint rule on a grid finer than σ."""
    return c.kernel_score(x, curve((np.arange(600) + 0.5) / 600)[0], SIGMA)


def denoising(score, x, z):
    """The denoising loss of each point under z and −z."""
    return sm.denoising_loss(score, np.concatenate([x, x]), np.concatenate([z, -z]), SIGMA)


def train(loss, data, rng, budget, progress, label):
    """The score trained on data, in float32, and the loss of each step."""
    return c.trained(loss, sm.MLP, c.init(rng, 2, 64, 64, 2), data, rng, budget, progress, steps=3000,
                     learning_rate=1e-2, label=label)


def measure(stream, budget, progress):
    rng, n = stream(), c.scaled(10_000, budget)
    noisy, bare = sm.swiss_roll(rng, 20 * n), sm.swiss_roll(rng, 20 * n, 0.0)
    with_noise, ism_losses = train(c.implicit, noisy, rng, budget, progress, "implicit, with noise")
    without, runs_losses = train(c.implicit, bare, rng, budget, progress, "implicit, without")
    dsm, dsm_losses = train(lambda score, x, rng: denoising(score, x, c.normal(rng, x)), bare, rng, budget, progress,
                            "denoising")
    (x, normal), z = curve(rng.random(n)), rng.standard_normal((n, 2))
    luck = (np.tile(np.sum(z * normal, axis=1)**2, 2) - 1) / SIGMA**2        # (2n,) of mean 0
    z = np.concatenate([z, -z])                                              # (2n,2)
    x_noisy = (np.concatenate([x, x]) + SIGMA * z).astype(np.float32)        # (2n,2)
    (foot, normal), away = curve(rng.uniform(0.02, 0.98, n // 5)), SIGMA * rng.uniform(-2, 2, n // 5)
    strip = (foot + away[:, None] * normal).astype(np.float32)
    return SimpleNamespace(score=dsm, x=x[:1500], z=z, luck=luck, true=true_score(x_noisy), dsm=dsm(x_noisy),
                           ism=sm.divergence(with_noise, x_noisy), runs=sm.divergence(without, x.astype(np.float32)),
                           away=away, across=np.sum(dsm(strip) * normal, axis=1), ism_losses=ism_losses,
                           runs_losses=runs_losses, dsm_losses=dsm_losses)


def half_square(m):
    """½‖∇log q_σ‖² of each point, less most of what is chance in it: the normal part of z, squared."""
    return (np.sum(m.true**2, axis=1) - m.luck) / 2


def floor(m):
    """−½ E‖∇log q_σ‖², the least implicit loss (ISM.6); the least denoising loss is d/2σ² more (DSM.6)."""
    return -np.mean(half_square(m))


def draw(m):
    """The field, its normal part, and two panels of training."""
    fig, axes = c.canvas(1, 4, 2.3)
    c.plane(axes[0], "learned by denoising", BOX)
    c.draw_points(axes[0], m.x)
    c.draw_field(axes[0], m.score, BOX, n=17, longest=12)
    axes[1].plot(m.away, m.across, ".", color=c.BLUE, ms=2, label="learned")
    ends = np.array([-2, 2]) * SIGMA
    axes[1].plot(ends, -ends / SIGMA**2, color=c.DARK, label="−(x − Πx)/σ²")
    axes[1].set(title="part across the curve", xlabel="distance from the curve", ylabel="score", box_aspect=1)
    c.draw_training(axes[2], m.ism_losses, c.GREEN, "noise .05")
    axes[2].axhline(floor(m), color=c.DARK, ls=":", label="least, with noise")
    c.draw_training(axes[2], m.runs_losses, c.RED, "no noise")
    axes[2].set_yscale("symlog", linthresh=10)
    axes[2].set(title="implicit loss", xlabel="steps", ylim=(-1e5, 1e4), box_aspect=1,
                yticks=[0, -10, -100, -1000, -10_000, -100_000])
    c.draw_training(axes[3], m.dsm_losses, c.BLUE, "denoising")
    axes[3].axhline(floor(m) + 1 / SIGMA**2, color=c.DARK, ls=":", label="least")
    axes[3].set(title="denoising loss", xlabel="steps", ylim=(0, 450), box_aspect=1)
    axes[2].minorticks_off()
    for ax, place in zip(axes[1:], ("lower left", "upper right", "lower left")):
        ax.legend(loc=place, handlelength=1.2)
    return fig


def excess(text, above, s, m):
    """Claims on what a loss is above its least value. It is the error ½ E‖s − ∇log q_σ‖² (ISM.5), (DSM.6), up to five
    standard errors of the mean over pairs ±z, and to 2 % of ½ E‖∇log q_σ‖², of which that error is at most a tenth."""
    error = np.sum((s - m.true)**2, axis=1) / 2
    apart = (above - error).reshape(2, -1).mean(axis=0)
    five = min(5 * apart.std() / len(apart)**0.5, -0.02 * floor(m))
    return [c.claim(f"{text}: fresh loss above the least, minus ½ E‖s − ∇log q_σ‖²", apart.mean(), -five, five),
            c.claim(f"{text}: ½ E‖s − ∇log q_σ‖² over ½ E‖∇log q_σ‖²", error.mean() / -floor(m), 0, 0.1)]


def claims(m):
    """Theory for the slope is −1/σ², to (σ/2R)², 0.3 % where the curve bends most, R = 0.5: a bound of a twentieth
    is for training. At a minimum a factor before s changes nothing to first order, so that E‖s‖² = −E tr ∂s/∂x; on
    the curve itself there is none. A tenth and ten are orders of magnitude. Where a curve with ρ of the data per length
    ends, the score along it adds .9 ρ/2σ to ½ E‖∇log q_σ‖²: both ends 1.3 % here, and the bound is about twice that."""
    (s, tr), (bare_s, bare_tr) = ((s.astype(float), tr.astype(float)) for s, tr in (m.ism, m.runs))
    square, bare_square = np.sum(s**2, axis=1), np.sum(bare_s**2, axis=1)
    missed = (np.sum((m.dsm + m.z / SIGMA)**2, axis=1) - np.sum(m.z**2, axis=1) / SIGMA**2) / 2
    return [
        c.claim("denoising: slope of the normal part of the score across the curve, times −σ²",
                -SIGMA**2 * np.polyfit(m.away, m.across, 1)[0], 0.95, 1.05),
        *excess("denoising", missed + np.sum(m.true**2, axis=1) / 2, m.dsm, m),
        *excess("implicit, with noise", square / 2 + tr + np.sum(m.true**2, axis=1) / 2 - m.luck, s, m),
        c.claim("implicit, with noise: E‖s‖² over −E tr ∂s/∂x, 1 at a minimum", square.mean() / -tr.mean(), 0.9, 1.1),
        c.claim("implicit, without noise: the same", bare_square.mean() / -bare_tr.mean(), 0, 0.1),
        c.claim("implicit, without noise: loss over the least loss with noise",
                (bare_square.mean() / 2 + bare_tr.mean()) / floor(m), 10),
        c.claim("½ E‖∇log q_σ‖² over 1/2σ², the part across the curve", -floor(m) * 2 * SIGMA**2, 1, 1.03),
    ]
