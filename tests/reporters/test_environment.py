"""W&B's variables hold where the config is silent."""

from recmeta.reporters.environment import VARIABLES, settings

OWN = {"project": "recmeta", "name": "n", "group": "g", "job_type": "train", "notes": "o", "tags": (), "dir": "d"}
SET = {
    "WANDB_PROJECT": "p", "WANDB_NAME": "m", "WANDB_RUN_GROUP": "h", "WANDB_JOB_TYPE": "j", "WANDB_NOTES": "x y",
    "WANDB_TAGS": "a, b,,c", "WANDB_DIR": "/e",
}  # fmt: skip


def test_the_config_comes_first_then_the_environment_then_recmetas_own():
    assert set(OWN) == set(VARIABLES)
    assert settings({}, OWN, {}) == OWN
    assert settings({}, OWN, dict.fromkeys(SET, "")) == OWN
    found = settings({"project": None, "tags": ()}, OWN, SET)
    assert found == {
        "project": "p", "name": "m", "group": "h", "job_type": "j", "notes": "x y", "tags": ("a", "b", "c"),
        "dir": "/e",
    }  # fmt: skip
    mine = {"project": "mine", "tags": ["t"], "notes": "said"}
    assert settings(mine, OWN, SET) == found | mine
