"""What a student delivers: figures that should stay where they are."""

from sklearn.metrics import log_loss

from skdistill.metrics import agreement, model_size

from .common import STUDENTS, Fitted


class Quality(Fitted):
    params = STUDENTS
    param_names = ("student",)

    def setup(self, cache, name):
        self.data, self.model = cache.data, cache.student(name)
        self.P = self.model.predict_proba(self.data.X_test)

    def track_accuracy(self, cache, name):
        return float(self.model.score(self.data.X_test, self.data.y_test))

    def track_log_loss(self, cache, name):
        return float(log_loss(self.data.y_test, self.P, labels=self.model.classes_))

    def track_agreement(self, cache, name):
        return float(agreement(self.data.P_test, self.P))

    def track_bytes(self, cache, name):
        return model_size(self.model)

    track_accuracy.unit = "share"
    track_log_loss.unit = "nats"
    track_agreement.unit = "share"
    track_bytes.unit = "bytes"
