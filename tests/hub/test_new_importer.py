"""An importer costs one file and one row."""

IMPORTER = '''
"""Imports models whose weights follow from a seed in a text file."""

from earbit.hub.importer import Imported, Importer
from earbit.load import random_model
from earbit.presets import preset


def _read(path):
    config = preset("hubert-tiny")
    model = random_model(config, int(path.read_text()))
    return Imported(config, model.state_dict(), {"stage": "import", "source": "seed"})


SEED = Importer("file of a seed", lambda path: path.suffix == ".seed", _read)
'''
USE = """
from earbit.cli.main import main
from earbit.load import load_model, random_model
from earbit.presets import preset

Path("5.seed").write_text("5")
main(["import", "5.seed", "--out", "imported"])
expected = random_model(preset("hubert-tiny"), 5).state_dict()
for name, tensor in load_model("imported").state_dict().items():
    assert tensor.equal(expected[name]), name
"""


def test_an_importer_of_one_file_and_one_row_serves_the_command(package_copy):
    package_copy.add_file("hub/seed.py", IMPORTER)
    package_copy.add_row(
        "hub/table.py",
        "    HUGGING_FACE,\n",
        "    SEED,\n",
        "from earbit.hub.seed import SEED\n",
    )
    assert "file of a seed: 3 layers of width 96" in package_copy.run(USE)
