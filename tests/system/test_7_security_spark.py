"""Spark's master takes applications of the bed alone."""

import json

from tests.system.tools import PROGRAMS, Bed

INTRUDE = """
cat > /tmp/intruder.py <<'EOF'
{code}
EOF
export SPARK_HOME=/opt/spark SPARK_LOCAL_IP={address}
export SPARK_CONF_DIR=/usr/local/lib/streambed/no-configuration
for secret in true false; do
    timeout 25 /opt/streambed/venv/bin/python /tmp/intruder.py {address} "$secret" 2>/dev/null &
done
wait
rm /tmp/intruder.py
"""


def test_sparks_master_takes_no_application_without_its_secret(bed: Bed) -> None:
    """Neither one that knows no secret nor one that guesses."""
    address = bed.inventory.node("cloud").bed_address
    code = (PROGRAMS / "spark_intruder.py").read_text()
    said = bed.root("cloud", INTRUDE.format(code=code, address=address))
    lines = said.splitlines()
    assert (lines.count("asks the master"), lines.count("1")) == (2, 0)
    found = json.loads(bed.program("cloud", "spark_applications", address))
    assert found == [0, "ALIVE", 1]
