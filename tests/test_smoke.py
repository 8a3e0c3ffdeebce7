from conftest import ASK
from inferencereplay import replay

def test_smoke(driver, server, tmp_path):
    with replay(tmp_path, mode="record") as s:
        a = driver.chat(); b = driver.chat(stream=True); c = driver.text(); d = driver.text(stream=True)
    n = server.count
    with replay(tmp_path) as s:
        assert driver.chat() == a
        assert driver.chat(stream=True) == b
        assert driver.text() == c
        assert driver.text(stream=True) == d
        assert s.hits == 4
    assert server.count == n
