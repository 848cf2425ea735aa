"""A throw-away certificate authority, made with the openssl command.

Nothing about TLS checks is relaxed for tests: every certificate says the name it is used for.
"""

import os
import subprocess
import tempfile


class Authority:
    def __init__(self, folder):
        os.makedirs(folder, exist_ok=True)
        self.folder = folder
        self.certificate = os.path.join(folder, "ca.pem")
        self.key = os.path.join(folder, "ca.key")
        openssl("req", "-x509", *NEW_KEY, "-keyout", self.key, "-out", self.certificate, "-days", "2",
                "-subj", "/CN=throw-away authority")

    def issue(self, name):
        """(certificate, key) for a host name."""
        certificate = os.path.join(self.folder, name + ".pem")
        key = os.path.join(self.folder, name + ".key")
        request = os.path.join(self.folder, name + ".csr")
        openssl("req", *NEW_KEY, "-keyout", key, "-out", request, "-subj", f"/CN={name}")
        with tempfile.NamedTemporaryFile("w") as extensions:
            extensions.write(f"subjectAltName=DNS:{name}\nextendedKeyUsage=serverAuth,clientAuth\n")
            extensions.flush()
            openssl("x509", "-req", "-in", request, "-CA", self.certificate, "-CAkey", self.key,
                    "-CAcreateserial", "-days", "2", "-extfile", extensions.name, "-out", certificate)
        return certificate, key

    def self_signed(self, name):
        """A certificate that nobody vouches for."""
        certificate = os.path.join(self.folder, "self-signed.pem")
        key = os.path.join(self.folder, "self-signed.key")
        openssl("req", "-x509", *NEW_KEY, "-keyout", key, "-out", certificate, "-days", "2", "-subj", f"/CN={name}")
        return certificate, key


NEW_KEY = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]


def openssl(*arguments):
    subprocess.run(["openssl", *arguments], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
