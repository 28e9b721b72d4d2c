"""Fashion-MNIST: which of ten kinds of clothing is it? 28 x 28 grey pixels in, ten probabilities out.

    signet-train fashion_mnist --recipe quick             90 s on 2 cores     92.7 % of the 10,000 test images
    signet-train fashion_mnist --recipe lenet             4 min               88.8 %
    signet-train fashion_mnist --recipe conv              36 min              85.8 %: over-fits, watch its curves
    signet-train fashion_mnist --recipe pool              10 min              89.3 %, the course: 89.09 %
    signet-train fashion_mnist --recipe vgg7              100 min             92.2 %, the course: 92.52 %
    signet-train fashion_mnist --recipe vgg7_augmented    32 min              94.4 %, the course: 92.88 %
    signet-train fashion_mnist --recipe resnet            70 min              95.0 %
    signet-train fashion_mnist --recipe quick_distilled --teacher models/fashion_mnist/N
                                                          8 min               93.8 %: the net of quick, taught by resnet

`lenet`, `conv`, `pool` and `vgg7` train on the first three quarters of the 60,000 images and keep the rest for
validation, as the course does, and end with the weights of the epoch with the lowest validation loss; the others keep
2,000, drawn by the seed. Augmentation is drawn anew each epoch from training rows alone, where the course appends
augmented copies and then validates on them. The test images are read once, at the end. `vgg7_augmented` and `resnet`
compute in bfloat16 where the processor has it, in half the time, and keep their weights, and the package, in float32.
"""

from collections.abc import Callable
from dataclasses import replace
from functools import partial

import keras

from training import augment, nets
from training.datasets.fashion_mnist import SIZE_PIXELS, load_as_the_course_splits, load_fashion_mnist
from training.distilling import fit_taught
from training.fitting import FitPlan, fit
from training.losses import smoothed_crossentropy, taught_crossentropy
from training.schedules import OneCycle
from training.task import Dataset, Recipe, Task

SHAPE = (SIZE_PIXELS, SIZE_PIXELS, 1)


COURSE_PLAN = FitPlan(
    optimizer=lambda _: keras.optimizers.Adam(),
    loss=keras.losses.sparse_categorical_crossentropy,
    batch_rows=32,
    jit_compile=False,
    keep_best=True,
)

ONE_CYCLE_PLAN = FitPlan(
    optimizer=lambda steps: keras.optimizers.SGD(OneCycle(0.2, steps), momentum=0.9, nesterov=True, weight_decay=5e-3),
    loss=smoothed_crossentropy,
    batch_rows=128,
    augment=augment.flip,
    jit_compile=False,
)

RESNET_PLAN = replace(ONE_CYCLE_PLAN, augment=augment.flip_shift_and_cut_out)

VGG_PLAN = FitPlan(
    optimizer=lambda steps: keras.optimizers.Adam(OneCycle(1.5e-3, steps)),
    loss=smoothed_crossentropy,
    batch_rows=128,
    augment=augment.flip_and_shift,
    jit_compile=False,
    averaged_epochs=4,
)


def _course(name: str, summary: str, net: Callable[..., keras.Model], course_figure: str = "") -> Recipe:
    return Recipe(
        name=name,
        summary=summary,
        epochs=25,
        batch_rows=32,
        seed=1,
        build=_built(net),
        fit=partial(fit, plan=COURSE_PLAN),
        load=load_as_the_course_splits,
        course_figure=course_figure,
    )


def _built(net: Callable[..., keras.Model]) -> Callable[[Dataset], keras.Model]:
    return lambda dataset: net(SHAPE, len(dataset.class_indices))


RECIPES = (
    Recipe(
        name="quick",
        summary="A small batch-normalised residual net, one cycle of six epochs",
        epochs=6,
        batch_rows=128,
        seed=1,
        mirrors=True,
        build=_built(nets.quick_net),
        fit=partial(fit, plan=ONE_CYCLE_PLAN),
        augment=ONE_CYCLE_PLAN.augment,
    ),
    Recipe(
        name="quick_distilled",
        summary="The net of `quick`, taught by another package's soft answers, one cycle of thirty epochs",
        epochs=30,
        batch_rows=128,
        seed=1,
        mirrors=True,
        taught=True,
        build=_built(nets.quick_net),
        fit=partial(fit_taught, plan=replace(ONE_CYCLE_PLAN, loss=taught_crossentropy)),
        augment=ONE_CYCLE_PLAN.augment,
    ),
    _course("lenet", "LeNet-5 of 1998, its page of 32 x 32 pixels kept by a border", nets.lenet5),
    _course(
        "conv",
        "The course's over-fitting example: three convolutions without activation, no pooling",
        partial(nets.course_cnn, filters=(16, 32, 64), pool=False),
    ),
    _course(
        "pool",
        "The course's net with pooling and dropout",
        partial(nets.course_cnn, filters=(32, 64, 128), pool=True),
        "89.09 %",
    ),
    _course("vgg7", "The course's VGG-7", nets.vgg7, "92.52 %"),
    Recipe(
        name="vgg7_augmented",
        summary="VGG-7, flips and shifts drawn anew each epoch, one cycle, label smoothing, the last weights averaged",
        epochs=40,
        batch_rows=128,
        seed=1,
        compute="bfloat16",
        mirrors=True,
        course_figure="92.88 %",
        build=_built(nets.vgg7),
        fit=partial(fit, plan=VGG_PLAN),
        augment=VGG_PLAN.augment,
    ),
    Recipe(
        name="resnet",
        summary="A compact residual net, flips, shifts and cut-outs drawn anew each epoch, one cycle",
        epochs=50,
        batch_rows=128,
        seed=1,
        compute="bfloat16",
        mirrors=True,
        build=_built(partial(nets.residual_net, widths=(32, 64, 128, 160), pairs=(1, 2, 2))),
        fit=partial(fit, plan=RESNET_PLAN),
        augment=RESNET_PLAN.augment,
    ),
)

FASHION_MNIST = Task(
    name="fashion_mnist",
    title="Fashion-MNIST: ten kinds of clothing",
    input_name="image",
    output_name="probabilities",
    load=load_fashion_mnist,
    decision={"kind": "argmax"},
    preprocessing={
        "kind": "image",
        "input": "image",
        "height": SIZE_PIXELS,
        "width": SIZE_PIXELS,
        "color_mode": "grayscale",
        "other_size": "resize",
        "alpha_background": 0,
        "exif_orientation": True,
    },
    recipes={recipe.name: recipe for recipe in RECIPES},
    default_recipe="quick",
    course_figure="92.88 %",
    notes={"quick": "The course's figure is that of its best net, VGG-7 with augmentation, trained for 100 minutes."},
)
