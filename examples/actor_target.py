"""Learn to push a cart to the middle of a track, with an actor, a critic and target networks.

    python examples/actor_target.py --backend jax

One compiled step moves the carts, updates both networks by their optimizers, and lets the targets
follow. Source: Lillicrap et al., Continuous control with deep reinforcement learning, ICLR 2016.
"""

import argparse
from typing import Any

import anynet
from anynet import cli, layers, losses, optimizers, random, tree
from anynet.array import array_namespace

DISCOUNT, FOLLOW, CARTS = 0.97, 0.01, 128


def environment(states: Any, forces: Any) -> tuple[Any, Any]:
    """Return the rewards (N, 1) and the next states (N, 2) of carts: position and speed."""
    xp = array_namespace(states, forces)
    position, speed = states[:, :1], states[:, 1:]
    speed = 0.98 * speed + 0.1 * xp.clip(forces, -1, 1)
    position = position + 0.1 * speed
    rewards = -(position**2) - 0.1 * speed**2
    return rewards, xp.concat([position, speed], axis=1)


def value(critic: Any, states: Any, forces: Any) -> Any:
    return critic(array_namespace(states, forces).concat([states, forces], axis=1))


def critic_loss(critic: Any, states: Any, forces: Any, goals: Any) -> Any:
    return losses.mean_squared_error(value(critic, states, forces), goals)


def actor_loss(actor: Any, critic: Any, states: Any) -> Any:
    """Return the negative value of the actor's forces. The critic is a constant."""
    values = value(critic, states, actor(states))
    return -array_namespace(values).mean(values)


critic_gradient = anynet.value_and_grad(critic_loss)
actor_gradient = anynet.value_and_grad(actor_loss)


@anynet.compile
def step(nets: Any, targets: Any, rules: Any, states: Any, forces: Any) -> tuple[Any, Any]:
    rewards, following = environment(states, forces)
    # Outside of the losses, so no gradient reaches the targets.
    goals = rewards + DISCOUNT * value(targets["critic"], following, targets["actor"](following))
    of_critic, grads = critic_gradient(nets["critic"], states, forces, goals)
    of_actor, others = actor_gradient(nets["actor"], nets["critic"], states)
    rules["critic"].update(nets["critic"], grads)
    rules["actor"].update(nets["actor"], others)
    for holder, name, old, new in tree.pairs(targets, nets):
        holder[name] = old + FOLLOW * (new - old)
    return of_critic, of_actor


def networks(seed: int, backend: anynet.Backend) -> dict[str, layers.Module]:
    def net(inputs: int, seed: int, *last: layers.Module) -> layers.Module:
        hidden = layers.Linear(inputs, 64), layers.ReLU(), layers.Linear(64, 64), layers.ReLU()
        return layers.Sequential(*hidden, layers.Linear(64, 1), *last, seed=seed, backend=backend)

    return {"actor": net(2, seed, layers.Tanh()), "critic": net(3, seed + 1)}


def mean_reward(actor: Any, states: Any) -> float:
    total = 0.0
    for _ in range(50):
        rewards, states = environment(states, actor(states))
        total += float(array_namespace(rewards).mean(rewards)) / 50
    return total


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    cli.add_backend_argument(parser)
    parser.add_argument("--steps", type=int, default=3000)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()

    backend = anynet.configure(options.backend)
    print(f"{backend.name} {backend.version} on {backend.device_name}")
    # The targets begin as copies: networks of the same seed.
    nets, targets = networks(options.seed, backend), networks(options.seed, backend)
    rules = {"actor": optimizers.Adam(1e-3), "critic": optimizers.Adam(2e-3)}
    key = random.key(options.seed, backend)
    tests = random.uniform(random.fold_in(key, options.steps), (256, 2)) * 2 - 1
    before = mean_reward(nets["actor"], tests)
    for i in range(options.steps):
        # Carts anywhere on the track, pushed at random.
        own = random.uniform(random.fold_in(key, i), (CARTS, 3)) * 2 - 1
        of_critic, _ = step(nets, targets, rules, own[:, :2], own[:, 2:])
        if (i + 1) % 500 == 0:
            print(f"step {i + 1}: loss of the critic {float(of_critic):.4f}")
    after = mean_reward(nets["actor"], tests)
    print(f"mean reward: {before:.4f} before training, {after:.4f} after")


if __name__ == "__main__":
    cli.run(main)
