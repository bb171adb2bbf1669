"""The citation table: every [KEY] in a docstring resolves here; a test checks it."""

from __future__ import annotations

PAPERS: dict[str, str] = {
    "Lam78": "L. Lamport, Time, Clocks, and the Ordering of Events in a Distributed System, CACM 21(7), 1978",
    "PEH20": "Y. Liu et al., PE-HEALTH: Enabling Fully Encrypted CNN for Health Monitor with Optimized "
    "Communication, IWQoS 2020, doi:10.1109/IWQoS49365.2020.9212822",
    "FIPS197": "NIST FIPS 197, Advanced Encryption Standard, 2001",
    "SP800-38A": "NIST SP 800-38A, Recommendation for Block Cipher Modes of Operation, 2001",
    "RFC2104": "H. Krawczyk et al., HMAC: Keyed-Hashing for Message Authentication, RFC 2104, 1997",
    "RFC5280": "D. Cooper et al., Internet X.509 Public Key Infrastructure Certificate and Certificate Revocation List "
    "(CRL) Profile, RFC 5280, 2008",
    "RFC3526": "T. Kivinen, M. Kojo, More Modular Exponential (MODP) Diffie-Hellman groups for IKE, RFC 3526, 2003",
    "Bea91": "D. Beaver, Efficient Multiparty Protocols Using Circuit Randomization, CRYPTO 1991",
    "BGI16": "E. Boyle, N. Gilboa, Y. Ishai, Breaking the Circuit Size Barrier for Secure Computation under DDH, "
    "CRYPTO 2016, eprint 2016/585",
    "BGI17": "E. Boyle, N. Gilboa, Y. Ishai, Group-Based Secure Computation: Optimizing Rounds, Communication, "
    "and Computation, EUROCRYPT 2017",
    "BCG17": "E. Boyle, G. Couteau, N. Gilboa, Y. Ishai, M. Orru, Homomorphic Secret Sharing: Optimizations and "
    "Applications, CCS 2017, eprint 2018/419",
    "BCG21": "E. Boyle et al., Function Secret Sharing for Mixed-Mode and Fixed-Point Secure Computation, "
    "EUROCRYPT 2021, eprint 2020/1392",
    "BKS19": "E. Boyle, L. Kohl, P. Scholl, Homomorphic Secret Sharing from Lattices Without FHE, "
    "EUROCRYPT 2019, eprint 2019/129",
    "ElG85": "T. ElGamal, A Public Key Cryptosystem and a Signature Scheme Based on Discrete Logarithms, 1985",
    "HES18": "M. Albrecht et al., Homomorphic Encryption Security Standard, HomomorphicEncryption.org, 2018",
    "BCC24": "J.-P. Bossuat et al., Security Guidelines for Implementing Homomorphic Encryption, eprint 2024/463",
    "MMO85": "S. Matyas, C. Meyer, J. Oseas, Generating Strong One-Way Functions with Cryptographic Algorithm, 1985",
    "GKWY20": "C. Guo, J. Katz, X. Wang, Y. Yu, Efficient and Secure Multiparty Computation from Fixed-Key Block "
    "Ciphers, IEEE S&P 2020, eprint 2019/074",
    "Fel68": "W. Feller, An Introduction to Probability Theory and Its Applications, vol. 1, 3rd ed., 1968",
    "Str64": "E. G. Straus, Addition Chains of Vectors, American Mathematical Monthly 71, 1964",
    "LPR10": "V. Lyubashevsky, C. Peikert, O. Regev, On Ideal Lattices and Learning with Errors over Rings, "
    "EUROCRYPT 2010",
    "DKK18": "I. Dinur, N. Keller, O. Klein, An Optimal Distributed Discrete Log Protocol with Applications to "
    "Homomorphic Secret Sharing, CRYPTO 2018",
    "NIST-SP800-57": "NIST SP 800-57 Part 1 Rev. 5, Recommendation for Key Management, 2020",
    "Bai90": "D. H. Bailey, FFTs in External or Hierarchical Memory, Journal of Supercomputing 4, 1990",
    "HLHD22": "Z. Huang, W. Lu, C. Hong, J. Ding, Cheetah: Lean and Fast Secure Two-Party Deep Neural Network "
    "Inference, USENIX Security 2022, eprint 2022/207",
    "HKZ12": "D. Hsu, S. Kakade, T. Zhang, A Tail Inequality for Quadratic Forms of Subgaussian Random Vectors, "
    "Electronic Communications in Probability 17(52), 2012",
    "ADPS16": "E. Alkim, L. Ducas, T. Poeppelmann, P. Schwabe, Post-Quantum Key Exchange: A New Hope, USENIX Security "
    "2016, eprint 2015/1092",
    "BDGL16": "A. Becker, L. Ducas, N. Gama, T. Laarhoven, New Directions in Nearest Neighbor Searching with "
    "Applications to Lattice Sieving, SODA 2016, eprint 2015/1128",
    "BG14": "S. Bai, S. Galbraith, Lattice Decoding Attacks on Binary LWE, ACISP 2014, eprint 2013/839",
    "Sha71": "D. Shanks, Class Number, a Theory of Factorization, and Genera, Proc. Symp. Pure Math. 20, 1971",
    "Pip76": "N. Pippenger, On the Evaluation of Powers and Related Problems, FOCS 1976",
    "Kur02": "K. Kurosawa, Multi-recipient Public-Key Encryption with Shortened Ciphertext, PKC 2002",
    "BBS03": "M. Bellare, A. Boldyreva, J. Staddon, Randomness Re-use in Multi-recipient Encryption Schemes, PKC 2003",
    "ABD15": "M. Abdalla, F. Bourse, A. De Caro, D. Pointcheval, Simple Functional Encryption Schemes for Inner "
    "Products, PKC 2015, eprint 2015/017",
    "HZRS16": "K. He, X. Zhang, S. Ren, J. Sun, Deep Residual Learning for Image Recognition, CVPR 2016",
    "HS91": "S. Haber, W. S. Stornetta, How to Time-Stamp a Digital Document, Journal of Cryptology 3, 1991",
    "SK99": "B. Schneier, J. Kelsey, Secure Audit Logs to Support Computer Forensics, ACM TISSEC 2(2), 1999",
}
"""Key -> full reference. Append; keep one line or one implicit string an entry."""
