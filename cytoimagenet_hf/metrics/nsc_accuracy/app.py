"""The Space of this metric: a form over its inputs."""

import evaluate
from evaluate.utils import launch_gradio_widget

if __name__ == "__main__":
    launch_gradio_widget(evaluate.load("nsc_accuracy.py"))
