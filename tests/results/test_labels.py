"""What rows are called."""

from recmeta.results.labels import called, choice, in_print, labels, method_settings, row_named, tell_apart


def learner(name, **settings):
    return {"learner": {"_target_": f"recmeta.learners.{name}", "_partial_": True} | settings}


def test_equal_up_to_what_only_repeats():
    one = {
        "name": "a",
        "seeds": [0],
        "force": False,
        "reporter": {},
        "protocol": {"seed": 0, "order": "time"},
        "steps": 5,
    }
    other = {"name": "b", "seeds": [1, 2], "force": True, "protocol": {"seed": 7, "order": "time"}, "steps": 5}
    assert method_settings(one) == method_settings(other) == {"protocol": {"order": "time"}, "steps": 5}
    assert method_settings(one) != method_settings(other | {"steps": 6})
    assert method_settings({"learner": {"seed": 1}}) == {"learner": {"seed": 1}}


def test_labels_by_choice_and_setting():
    configs = [
        learner("maml", inner_steps=1, first=False),
        learner("maml", inner_steps=5, first=False),
        learner("ridge", l2=3),
    ]
    assert labels(configs) == (
        ["learner=maml learner.inner_steps=1", "learner=maml learner.inner_steps=5", "learner=ridge"],
        [],
    )


def test_a_setting_that_follows_from_the_label_is_left_out_but_said():
    configs = [learner("maml") | {"optimizer": {"rate": 0.1}}, learner("ridge") | {"optimizer": {"rate": 0.2}}]
    assert labels(configs) == (["learner=maml", "learner=ridge"], ["optimizer.rate"])
    configs.append(learner("ridge") | {"optimizer": {"rate": 0.1}})
    assert labels(configs)[0][1:] == ["learner=ridge optimizer.rate=0.2", "learner=ridge optimizer.rate=0.1"]


def test_a_choice_says_more_than_a_number_that_differs_with_it():
    configs = [learner("maml", rate=0.05, first_order=False), learner("maml", rate=0.16, first_order=True)]
    named = ["learner.first_order=false", "learner.first_order=true"]
    assert labels(configs) == (named, ["learner.rate"])
    alone = [learner("maml", rate=0.05), learner("maml", rate=0.16)]
    assert labels(alone)[0] == ["learner.rate=0.05", "learner.rate=0.16"]
    # The learner's numbers stay before what others chose.
    beside = [one | {"objective": {"_target_": name}} for one, name in zip(alone, ("x.mse", "x.mae"), strict=True)]
    assert labels(beside) == (labels(alone)[0], ["objective"])


def test_alone_a_row_is_called_by_its_learner():
    assert labels([learner("maml", inner_steps=1)]) == (["learner=maml"], [])
    assert labels([]) == ([], [])


def test_values_are_as_typed():
    configs = [{"a": None, "b": [1, 2]}, {"a": True, "b": [3]}, {"b": {"_target_": "x.y"}}]
    assert tell_apart(configs) == [{"a": "null", "b": "[1,2]"}, {"a": "true", "b": "[3]"}, {"a": "absent", "b": "y"}]


def test_choices_of_one_name_are_called_by_their_whole_target():
    assert labels([{"learner": {"_target_": "a.maml"}}, {"learner": {"_target_": "b.maml"}}])[0] == [
        "learner=a.maml",
        "learner=b.maml",
    ]
    assert choice({"_target_": None}) == "none"


def test_what_differs_from_a_paper_stands_behind_the_name_that_it_qualifies():
    head = {"learner.adapts": "head", "optimizer": "adam outside"}
    assert called("learner=maml optimizer.rate=0.1", head) == "learner=maml (head, adam outside) optimizer.rate=0.1"
    assert called("learner=maml optimizer=adam", head) == "learner=maml (head) optimizer=adam"
    assert called("maml", head) == "maml (head, adam outside)"
    assert called("learner.adapts=head", head) == "learner.adapts=head"  # it names no method
    assert called("learner=maml", {}) == "learner=maml"


def test_a_row_is_found_by_its_name_with_and_without_brackets():
    rows = ["learner=maml (head)", "learner=maml (body)", "learner=ridge", "always(value=3)"]
    assert row_named("learner=maml (body)", rows) == "learner=maml (body)"
    assert row_named("learner=maml", rows) == "learner=maml"  # two are meant: no row has that name
    assert row_named("learner=maml", rows[1:]) == "learner=maml (body)"
    assert row_named("always(value=3)", rows) == "always(value=3)"
    assert in_print("always(value=3)", {"always": "Always"}) == "always(value=3)"
