"""Authorities and certificates of the world outside the cluster."""
import subprocess


def openssl(*args):
    subprocess.run(["openssl", *map(str, args)], check=True, capture_output=True)


def authority(folder, name):
    openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", folder / f"{name}.key",
            "-subj", f"/CN={name}", "-days", 10, "-addext", "basicConstraints=critical,CA:TRUE",
            "-addext", "keyUsage=critical,keyCertSign", "-out", folder / f"{name}.pem")


def certificate(folder, ca, name, usage="serverAuth"):
    """(certificate, key) for a SIP domain, or an IPv4 address."""
    request, key, made, extensions = (folder / f"{ca}-{name}.{n}" for n in ("request", "key", "pem", "extensions"))
    openssl("req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", key, "-subj", "/CN=x",
            "-out", request)
    kind = "IP" if name.replace(".", "").isdigit() else "DNS"
    extensions.write_text(f"basicConstraints=critical,CA:FALSE\nsubjectAltName={kind}:{name}\nextendedKeyUsage={usage}\n")
    openssl("x509", "-req", "-in", request, "-CA", folder / f"{ca}.pem", "-CAkey", folder / f"{ca}.key", "-CAcreateserial",
            "-days", 10, "-extfile", extensions, "-out", made)
    return made, key
