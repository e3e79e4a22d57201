"""RUN.toml: defaults, paths, messages and the schema for editors."""

import re
import sys
from pathlib import Path
from typing import get_args

import jsonschema
import pytest

from sitewise import Error, GrowConfig
from sitewise.cli.training import Recipe
from sitewise.config import RECIPES, Config, RecipeName, Training

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).resolve().parents[1]
SCHEMA = Config.model_json_schema()
MINIMAL = '[data]\ntrain = "a.xyz"\n'


def load(tmp_path, text):
    (tmp_path / "run.toml").write_text(text)
    return Config.load(tmp_path / "run.toml")


def test_defaults_are_the_documented_ones(tmp_path):
    config = load(tmp_path, MINIMAL)
    assert config.data.train == [str(tmp_path / "a.xyz")]
    assert config.data.test == 0.1
    assert config.network.hidden is None
    assert config.training.l2 is None
    training = config.training
    assert (training.recipe, training.optimizer, training.force_weight) == ("default", "gn-lbfgs", 0.01)
    assert (training.batch_size, training.learning_rate) == (None, None)
    assert training.batch(350) == 350


def test_recipes_are_those_of_the_paper(tmp_path):
    adam = load(tmp_path, MINIMAL + '[training]\nrecipe = "seed-adam"\n').training
    assert (adam.optimizer, adam.batch_size, adam.l2) == ("adam", 4, 1e-6)
    assert adam.learning_rate == [0.01, 0.00017]
    assert adam.total_iterations(350) == 100_000
    lbfgs = load(tmp_path, MINIMAL + '[training]\nrecipe = "seed-lbfgs"\n').training
    assert (lbfgs.optimizer, lbfgs.total_iterations(350), lbfgs.l2) == ("lbfgs", 800, 1e-6)


def test_recipes_have_old_names():
    """`seed` means a random seed elsewhere."""
    for optimizer in ("adam", "lbfgs"):
        old, new = (Training.model_validate({"recipe": f"{name}-{optimizer}"}) for name in ("seed", "yoo2019"))
        assert old.model_dump(exclude={"recipe"}) == new.model_dump(exclude={"recipe"})
    assert set(get_args(RecipeName)) == set(get_args(Recipe)) == set(RECIPES)


def test_keys_and_the_command_line_come_before_the_recipe(tmp_path):
    text = MINIMAL + '[training]\nrecipe = "seed-lbfgs"\nl2 = 0.5\niterations = 7\n'
    config = load(tmp_path, text)
    assert (config.training.optimizer, config.training.l2, config.training.iterations) == ("lbfgs", 0.5, 7)
    changed = Config.load(tmp_path / "run.toml", "seed-adam").training
    assert (changed.optimizer, changed.l2, changed.batch_size) == ("adam", 0.5, 4)


def test_paths_are_relative_to_the_file(tmp_path):
    text = (
        '[data]\ntrain = ["x/*.xyz", "/y.xyz"]\ntest = "t.xyz"\ncache = "c"\n[symmetry_functions]\nfile = "input.nn"\n'
    )
    config = load(tmp_path, text)
    assert config.data.train == [str(tmp_path / "x/*.xyz"), "/y.xyz"]
    assert config.data.test == [str(tmp_path / "t.xyz")]
    assert config.data.cache == str(tmp_path / "c")
    assert config.symmetry_functions.file == str(tmp_path / "input.nn")


def test_epochs_are_passes_over_the_structures(tmp_path):
    config = load(tmp_path, MINIMAL + '[training]\noptimizer = "adam"\nepochs = 3\nlearning_rate = 0.1\n')
    assert config.training.total_iterations(9) == 9
    assert config.training.learning_rate == [0.1, 0.1]
    assert [config.training.total_iterations(n) for n in (1, 4, 5, 8)] == [3, 3, 6, 6]  # batches of four


def test_learning_rate_falls_by_a_factor(tmp_path):
    config = load(tmp_path, MINIMAL + '[training]\noptimizer = "adam"\nlearning_rate = [0.1, 0.001]\n')
    assert [config.training.rate(x) for x in (0, 0.25, 0.5, 1)] == pytest.approx([0.1, 0.1**1.5, 0.01, 0.001])


def test_a_group_has_weight_1_unless_given(tmp_path):
    config = load(tmp_path, MINIMAL + "[training.group_weights]\nodd = 0.5\n")
    assert [config.training.weight(group) for group in ("odd", "even", "")] == [0.5, 1, 1]


def test_tables_give_the_same_configuration(tmp_path):
    config = load(tmp_path, MINIMAL + "[training]\nseed = 7\n[network]\nhidden = [5]\n")
    assert Config.parse(config.tables()) == config


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", r"run.toml: \[data\]: missing"),
        ("[data]\n", r"run.toml: \[data\] train: missing"),
        (MINIMAL + "[trainig]\n", r"\[trainig\]: unknown table, did you mean training\?"),
        (MINIMAL + "[training]\nbatchsize = 4\n", r"\[training\] batchsize: unknown key, did you mean batch_size\?"),
        (
            MINIMAL + "[training]\nlearning_rate = [1, 2, 3]\n",
            r"\[training\] learning_rate: expected at most 2 values, found \[1, 2, 3\]",
        ),
        (MINIMAL + "[training]\nseed = 1.5\n", r"\[training\] seed: .*integer.*1.5"),
        (MINIMAL + "[training]\nl2 = -1\n", r"\[training\] l2: .*greater than or equal to 0, found -1"),
        (
            MINIMAL + '[training]\noptimizer = "sgd"\n',
            r"\[training\] optimizer: should be 'gn-lbfgs'.*'adam', found 'sgd'",
        ),
        (MINIMAL + "[training]\nbatch_size = 4\n", 'batch_size belongs to optimizer "adam", found "gn-lbfgs"'),
        (MINIMAL + '[training]\nrecipe = "fast"\n', r"\[training\] recipe: should be 'default'"),
        (MINIMAL + "[training]\nl2 = nan\n", r"\[training\] l2: .*nan"),
        (MINIMAL + "[training]\niterations = 5\nepochs = 3\n", "iterations and epochs exclude each other"),
        (MINIMAL + "[training]\nlearning_rate = [0.1]\n", r"learning_rate: expected at least 2 values, found \[0\.1\]"),
        (MINIMAL + "[network]\nhidden = []\n", r"\[network\] hidden: expected at least 1 value, found \[\]"),
        (MINIMAL + "[network]\nhidden = [0]\n", r"\[network\] hidden: .*greater than or equal to 1"),
        (MINIMAL + '[network]\nactivation = "tan"\n', r"\[network\] activation: should be 'tanh'"),
        (MINIMAL + "test = 1.0\n", r"\[data\] test: expected files or a fraction from 0 to below 1, found 1.0"),
        (MINIMAL + "test = true\n", r"\[data\] test: expected files or a fraction"),
        (MINIMAL + "test = 0\n[training]\nearly_stop = 5\n", "early_stop needs held-out data"),
        (MINIMAL + "[data.keys]\nforce = 'f'\n", r"\[data.keys\] force: unknown key, did you mean forces\?"),
        (MINIMAL + "[symmetry_functions]\npreset = 'auto'\nfile = 'x'\n", "preset and file exclude each other"),
        (MINIMAL + "[symmetry_functions]\nfile = 'x'\ncutoff = 5.0\n", "cutoff belongs to a preset"),
        (MINIMAL + "[symmetry_functions]\npreset = 'pool'\n", 'preset "pool" is to choose from, it needs select'),
        (MINIMAL + "[symmetry_functions]\ncflength = 2.0\n", "cflength belongs to file"),
        ("data = 3\n", r"\[data\]: expected a table"),
        ("[data\n", r"run.toml: is not valid TOML: .*line 1"),
    ],
)
def test_mistakes_name_the_key(tmp_path, text, message):
    with pytest.raises(Error, match=message):
        load(tmp_path, text)


def test_every_mistake_is_told(tmp_path):
    with pytest.raises(Error) as caught:
        load(tmp_path, MINIMAL + "[training]\nseed = -1\nl2 = -1\n")
    assert len(str(caught.value).splitlines()) == 2


def test_missing_and_unreadable_files(tmp_path):
    with pytest.raises(Error, match=r"absent.toml: no such file"):
        Config.load(tmp_path / "absent.toml")
    with pytest.raises(Error, match="cannot be read"):
        Config.load(tmp_path)
    (tmp_path / "latin.toml").write_bytes(b"# \xe9\n")
    with pytest.raises(Error, match="is not a text file in UTF-8"):
        Config.load(tmp_path / "latin.toml")


def test_a_byte_order_mark_is_accepted(tmp_path):
    assert load(tmp_path, "\ufeff" + MINIMAL) == load(tmp_path, MINIMAL)


# -- the schema for editors ---------------------------------------------------------------------------------


def test_the_schema_gives_each_key_a_meaning():
    tables = [SCHEMA["$defs"][name]["properties"] for name in SCHEMA["$defs"]]
    keys = [(key, value) for table in tables for key, value in table.items() if "$ref" not in value]
    assert len(keys) > 35
    assert all(value["description"].endswith(".") for _, value in keys)


@pytest.mark.parametrize("page", ["get-started", "how-to"])
def test_the_schema_accepts_the_pages_tables(page):
    blocks = re.findall(r"```toml\n(.*?)```", (ROOT / "docs" / f"{page}.md").read_text(), re.DOTALL)
    assert blocks
    for block in blocks:
        tables = tomllib.loads(block)
        if "oracle" in tables:
            jsonschema.validate(tables, GrowConfig.model_json_schema())
            GrowConfig.parse(tables)
            continue
        tables.setdefault("data", {}).setdefault("train", "a.xyz")
        jsonschema.validate(tables, SCHEMA)
        Config.parse(tables)


def test_the_schema_accepts_all_notations_and_refuses_mistakes():
    accepted = [
        {"data": {"train": "a.xyz", "test": "b.xyz"}},
        {"data": {"train": ["a.xyz"], "test": ["b.xyz"]}, "invariants": {"data": ["c.xyz"]}},
        {"data": {"train": "a.xyz", "test": 0.2}, "training": {"optimizer": "adam", "learning_rate": 0.01}},
        {"data": {"train": "a.xyz"}, "training": {"optimizer": "adam", "learning_rate": [0.01, 0.001]}},
    ]
    for tables in accepted:
        jsonschema.validate(tables, SCHEMA)
        Config.parse(tables)
    refused = [{}, {"data": {"train": 1}}, {"data": {"train": "a"}, "training": {"seeds": 1}}]
    refused += [{"data": {"train": "a"}, "training": {"recipe": "none"}}, {"datum": {}}]
    for tables in refused:
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate(tables, SCHEMA)
        with pytest.raises(Error):
            Config.parse(tables)
