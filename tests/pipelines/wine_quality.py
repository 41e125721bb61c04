"""The demo: choose the best of three classifiers for the wine data that ships with scikit-learn."""

from typing import List, NamedTuple

from kfp import dsl
from kfp.dsl import HTML, ClassificationMetrics, Dataset, Input, Metrics, Model, Output

SKLEARN = ["scikit-learn==1.5.2"]


@dsl.component(packages_to_install=SKLEARN)
def load(samples: Output[Dataset]) -> int:
    """Writes the wine data (178 samples, 13 features, 3 classes) as CSV; returns the number of rows."""
    from sklearn.datasets import load_wine

    data = load_wine()
    with open(samples.path, "w") as out:
        out.write(",".join([*data.feature_names, "target"]) + "\n")
        for row, target in zip(data.data, data.target):
            out.write(",".join(f"{value:g}" for value in row) + f",{target}\n")
    samples.metadata["rows"] = len(data.data)
    samples.metadata["source"] = "sklearn.datasets.load_wine"
    return len(data.data)


@dsl.component(packages_to_install=SKLEARN)
def split(samples: Input[Dataset], train: Output[Dataset], test: Output[Dataset], test_share: float, seed: int):
    """Splits rows at random, classes in equal shares."""
    from sklearn.model_selection import train_test_split

    with open(samples.path) as source:
        header, *rows = source.read().splitlines()
    labels = [row.rsplit(",", 1)[1] for row in rows]
    first, second = train_test_split(rows, test_size=test_share, random_state=seed, stratify=labels)
    for artifact, part in ((train, first), (test, second)):
        with open(artifact.path, "w") as out:
            out.write("\n".join([header, *part]) + "\n")
        artifact.metadata["rows"] = len(part)


@dsl.component(packages_to_install=SKLEARN)
def train_model(
    train: Input[Dataset], test: Input[Dataset], algorithm: str, model: Output[Model], metrics: Output[Metrics]
) -> float:
    """Trains one classifier and scores it; returns its accuracy."""
    import pickle

    import numpy
    from sklearn.ensemble import RandomForestClassifier
    from sklearn.linear_model import LogisticRegression
    from sklearn.neighbors import KNeighborsClassifier
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    classifiers = {
        "logistic-regression": LogisticRegression(max_iter=1000),
        "random-forest": RandomForestClassifier(n_estimators=50, random_state=0),
        "nearest-neighbours": KNeighborsClassifier(),
    }
    classifier = make_pipeline(StandardScaler(), classifiers[algorithm])
    known = numpy.loadtxt(train.path, delimiter=",", skiprows=1)
    unseen = numpy.loadtxt(test.path, delimiter=",", skiprows=1)
    classifier.fit(known[:, :-1], known[:, -1])
    accuracy = float(classifier.score(unseen[:, :-1], unseen[:, -1]))
    with open(model.path, "wb") as out:
        pickle.dump(classifier, out)
    model.metadata["algorithm"] = algorithm
    model.metadata["accuracy"] = accuracy
    metrics.log_metric("accuracy", accuracy)
    metrics.log_metric("training_rows", len(known))
    print(f"{algorithm}: accuracy {accuracy:.3f}")
    return accuracy


@dsl.component
def choose(models: Input[List[Model]], accuracies: List[float], best: Output[Model]) -> NamedTuple(
    "Choice", [("algorithm", str), ("accuracy", float)]
):
    """Copies the model with the best accuracy."""
    import shutil
    from collections import namedtuple

    winner = max(range(len(models)), key=lambda index: accuracies[index])
    shutil.copyfile(models[winner].path, best.path)
    best.metadata.update(models[winner].metadata)
    return namedtuple("Choice", ["algorithm", "accuracy"])(models[winner].metadata["algorithm"], accuracies[winner])


@dsl.component(packages_to_install=SKLEARN)
def evaluate(model: Input[Model], test: Input[Dataset], confusion: Output[ClassificationMetrics], report: Output[HTML]):
    """Confusion matrix and a readable report of the model chosen."""
    import pickle

    import numpy
    from sklearn.metrics import classification_report, confusion_matrix

    with open(model.path, "rb") as source:
        classifier = pickle.load(source)
    unseen = numpy.loadtxt(test.path, delimiter=",", skiprows=1)
    predicted = classifier.predict(unseen[:, :-1])
    matrix = confusion_matrix(unseen[:, -1], predicted)
    confusion.log_confusion_matrix(["barolo", "grignolino", "barbera"], matrix.tolist())
    with open(report.path, "w") as out:
        out.write(f"<h1>{model.metadata['algorithm']}</h1><pre>{classification_report(unseen[:, -1], predicted)}</pre>")


@dsl.component
def give_up(accuracy: float):
    """What happens instead when no model is good enough."""
    print(f"no model reaches the bar, the best has {accuracy:.3f}")


@dsl.pipeline(name="wine-quality", description="Load, split, train three models, choose, evaluate.")
def wine_quality(test_share: float = 0.3, seed: int = 7, bar: float = 0.8) -> float:
    loaded = load()
    parts = split(samples=loaded.outputs["samples"], test_share=test_share, seed=seed)
    with dsl.ParallelFor(["logistic-regression", "random-forest", "nearest-neighbours"]) as algorithm:
        trained = train_model(train=parts.outputs["train"], test=parts.outputs["test"], algorithm=algorithm)
    chosen = choose(models=dsl.Collected(trained.outputs["model"]), accuracies=dsl.Collected(trained.outputs["Output"]))
    with dsl.If(chosen.outputs["accuracy"] >= bar):
        evaluate(model=chosen.outputs["best"], test=parts.outputs["test"])
    with dsl.Else():
        give_up(accuracy=chosen.outputs["accuracy"])
    return chosen.outputs["accuracy"]
